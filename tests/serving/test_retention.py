"""What a serving directory keeps: days of requests, files of the access log, what processes say."""

from __future__ import annotations

import dataclasses
import datetime
import os
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pytest
from waiting import wait

from turnout.models.registry import ModelVersion
from turnout.serving import access_log, files
from turnout.serving.directory import Directory
from turnout.serving.predictor import Answer
from turnout.serving.protocols.protocol import Asked
from turnout.serving.release import Release, Served, only, with_version
from turnout.serving.request_log import RequestLog
from turnout.serving.retention import Retention, bound_logs, kept_since, needed, remove_days
from turnout.serving.state import State

NOW = datetime.datetime(2026, 3, 10, 12, tzinfo=datetime.UTC)


@pytest.fixture
def directory(tmp_path: Path) -> Directory:
    made = Directory(tmp_path / "flights")
    made.make()
    return made


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as made:
        yield made


def write(requests: Path, time_: float) -> None:
    """A request of a time, in the log as a worker keeps it."""
    log = RequestLog(requests, "m-1", pa.schema([("a", pa.float64())]), {"prediction": pa.int64()})
    log.add("r1", time_, 1.0, Asked(values=[0.5]), Answer({"prediction": [1]}, "1"))
    log.close()


def grown_old(requests: Path, days: float) -> str:
    """The name of a day so long ago, into which nobody writes any more."""
    then = time.time() - days * 86400
    write(requests, then)
    place = requests / f"date={datetime.datetime.fromtimestamp(then, datetime.UTC).date()}"
    for path in (*place.iterdir(), place):
        os.utime(path, (then, then))
    return place.name


def days(requests: Path) -> list[str]:
    return sorted(place.name for place in requests.iterdir())


def test_days_are_removed_when_they_are_old_and_nobody_writes_into_them(directory: Directory) -> None:
    old, older, late, today = (grown_old(directory.requests, ago) for ago in (9, 30, 20, 0))
    write(directory.requests, time.time() - 20 * 86400)  # rows that have waited for a full disk
    before = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=10)
    assert remove_days(directory.requests, before) == [older]
    assert days(directory.requests) == sorted([late, old, today])
    (directory.requests / "notes").mkdir()
    assert remove_days(directory.requests, before) == []


def test_a_day_that_a_killed_process_has_half_removed_goes_too(directory: Directory) -> None:
    (directory.requests / ".removed-2026-01-01-1" / "x").mkdir(parents=True)
    remove_days(directory.requests, NOW)
    assert days(directory.requests) == []


def test_while_a_version_is_tried_out_all_is_kept_since_that_began() -> None:
    def at(day: int, release: Release) -> Release:
        from dataclasses import replace

        return replace(release, changed_at=datetime.datetime(2026, 3, day, 9, tzinfo=datetime.UTC).isoformat())

    alone = at(1, Release("flights", (Served("7", 100.0),)))
    tried, more = at(4, with_version(alone, "8", 5)), at(8, with_version(alone, "8", 25))
    assert kept_since(3, [alone], NOW).day == 7
    assert kept_since(3, [alone, tried, more], NOW).day == 4
    assert kept_since(30, [alone, tried, more], NOW).month == 2
    assert kept_since(3, [alone, tried, more, at(9, only(more, "8"))], NOW).day == 7


def test_a_serving_directory_keeps_what_it_is_told_to(directory: Directory, pool: ThreadPoolExecutor) -> None:
    State(directory.path).change(lambda _: Release("flights", (Served("7", 100.0),)), "first")
    old, today = grown_old(directory.requests, 9), grown_old(directory.requests, 0)
    ended = directory.access / f"until-{int((time.time() - 9 * 86400) * 1e9)}.jsonl"
    ended.touch()
    Retention(directory, 0, pool).look()
    pool.submit(int).result()
    assert (days(directory.requests), ended.exists()) == ([old, today], True)
    Retention(directory, 5, pool).look()
    pool.submit(int).result()
    assert (days(directory.requests), ended.exists()) == ([today], False)


def test_the_files_of_versions_stay_while_they_are_served_or_the_way_back_or_were_served_lately() -> None:
    def at(day: int, release: Release) -> Release:
        return dataclasses.replace(release, generation=day, changed_at=NOW.replace(day=day).isoformat())

    first = at(1, Release("flights", (Served("1", 100.0),), fallback="0"))
    second = at(2, only(first, "2"))
    third = at(3, dataclasses.replace(only(second, "3"), fallback='{"prediction": 0}'))
    assert needed([first, second, third], NOW.replace(day=9)) == {"3", "2"}
    assert needed([first, second, third], NOW.replace(day=2)) == {"3", "2", "0"}
    tried = at(4, with_version(third, "4", 5.0))
    assert needed([first, second, third, tried], NOW.replace(day=9)) == {"3", "4"}
    assert needed([first, second, third, tried, at(5, only(tried, "4"))], NOW.replace(day=9)) == {"4", "3"}


def test_files_of_versions_that_nobody_needs_are_removed_and_brought_again_when_asked_for(
    directory: Directory, pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fetch(version: ModelVersion, place: str) -> Path:
        made = Path(place) / version.version
        made.mkdir()
        (made / "MLmodel").touch()
        return made

    monkeypatch.setattr(files, "fetch", fetch)
    left = directory.models / ".removed-0-1"
    left.mkdir()
    kept = files.Files(directory.models, pool)
    for version in ("1", "2"):
        wait(lambda: kept.of("flights", version), version, 5)  # noqa: B023
    assert kept.keep_only({"2"}, time.time() - 60) == []  # somebody may be about to serve it
    assert kept.keep_only({"2"}, time.time() + 60) == ["1"]
    pool.submit(int).result()
    assert [place.name for place in directory.models.iterdir() if place.name != ".unfinished"] == ["2"]
    wait(lambda: kept.of("flights", "1"), "version 1", 5)
    assert (directory.models / "1" / "MLmodel").exists()


def test_a_file_of_the_access_log_ends_with_its_day(directory: Directory, monkeypatch: pytest.MonkeyPatch,
                                                    pool: ThreadPoolExecutor) -> None:  # fmt: skip
    from turnout.serving import retention

    looked = Retention(directory, 5, pool)
    monkeypatch.setattr(retention, "_today", lambda: datetime.date(2100, 1, 1))
    assert (looked.new_day(), looked.new_day(), Retention(directory, 0, pool).new_day()) == (True, False, False)
    directory.access_log.write_text("{}\n")
    assert not access_log.rotate(directory.access, lambda: None)
    assert access_log.rotate(directory.access, lambda: None, new_day=True)
    assert not access_log.rotate(directory.access, lambda: None, new_day=True)


def test_what_a_process_says_has_a_bound_while_it_says_it(tmp_path: Path) -> None:
    log = tmp_path / "worker-7-0.log"
    with (
        log.open("ab") as out,
        subprocess.Popen(
            ["sh", "-c", "yes first | head -c 5000; read go; echo last"], stdin=subprocess.PIPE, stdout=out
        ) as said,
    ):
        ends = time.monotonic() + 20
        while log.stat().st_size < 5000 and time.monotonic() < ends:
            time.sleep(0.01)
        bound_logs([log], largest=6000, end=100)
        assert log.stat().st_size == 5000
        bound_logs([log], largest=4000, end=100)
        said.communicate(b"go\n")
    assert log.read_text() == "last\n"
    assert (tmp_path / "worker-7-0.log.1").read_bytes() == (b"first\n" * 1000)[:5000][-100:]
