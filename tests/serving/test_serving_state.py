"""What shall be served: changes are whole, noted with who and why, and nonsense is refused with the reason."""

from __future__ import annotations

import concurrent.futures
import json
import math
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from turnout.errors import ComponentError
from turnout.serving.release import Release, Served, only, with_split, with_version, without
from turnout.serving.state import State

FIRST = Release("flights", (Served("7", 100.0),))


@pytest.fixture
def state(tmp_path: Path) -> State:
    made = State(tmp_path / "flights")
    made.change(lambda _: FIRST, "first", "ada", "start")
    return made


def test_a_change_is_read_back_with_who_when_and_why(state: State) -> None:
    made = state.change(lambda r: with_version(r or FIRST, "8", 10), "looks better", "ada", "split")
    assert state.read() == made
    assert made.versions == (Served("7", 90.0), Served("8", 10.0))
    assert (made.generation, made.changed_by, made.reason) == (2, "ada", "looks better")
    assert [(action, release.generation) for action, release in state.history()] == [("start", 1), ("split", 2)]
    assert state.history()[-1][1] == made


def test_who_changes_it_is_the_user_unless_somebody_is_named(state: State) -> None:
    assert "@" in state.change(lambda r: only(r or FIRST, "8"), "why").changed_by


def test_the_same_again_is_no_change(state: State) -> None:
    before = state.require()
    assert state.change(lambda r: only(r or FIRST, "7"), "again", "bob") == before
    assert len(state.history()) == 1


def test_what_others_leave_belongs_to_the_version_in_service() -> None:
    release = with_version(with_version(FIRST, "8", 10), "9", 5)
    assert release.versions == (Served("7", 85.0), Served("8", 10.0), Served("9", 5.0))
    assert without(release, "8").versions == (Served("7", 95.0), Served("9", 5.0))
    assert with_version(release, "9", 100).versions == (Served("9", 100.0),)


def test_a_shadow_has_no_part_of_the_traffic() -> None:
    release = with_version(FIRST, "8", 50, shadow=True)
    assert (release.routed, release.shadows) == ((Served("7", 100.0),), (Served("8", 50.0, True),))
    assert without(release, "8") == FIRST
    assert with_split(release, {"7": 60, "9": 40}).shadows == release.shadows


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (Release("flights", (Served("7", 90.0),)), "the percentages are 90 together"),
        (Release("flights", (Served("7", 100.0), Served("8", 100.0))), "200 together"),
        (Release("flights", (Served("7", math.nan),)), "nan percent for version 7"),
        (Release("flights", (Served("7", 120.0), Served("8", -20.0))), "120 percent for version 7"),
        (Release("flights", (Served("7", 50.0), Served("7", 50.0))), "version 7 is there twice"),
        (Release("flights", (Served("7", 100.0, True),)), "no version is in service"),
        (Release("flights", ()), "no version is in service"),
        (Release("flights", (Served("../../etc", 100.0),)), "not a version"),
        (Release("a/b", (Served("7", 100.0),)), "not a name that can be served"),
        (Release("flights", (Served("7", 100.0), Served("8", 0.0, True))), "a shadow of nothing"),
        (Release("flights", (Served("7", 100.0),), sticky="x user\n"), "not the name of a header"),
    ],
)
def test_nonsense_is_refused_and_leaves_what_was(state: State, made: Release, said: str) -> None:
    before = state.require()
    with pytest.raises(ComponentError, match=said):
        state.change(lambda _: made, "nonsense")
    assert state.read() == before
    assert len(state.history()) == 1


def test_the_version_in_service_is_not_taken_out_nor_made_a_shadow() -> None:
    with pytest.raises(ComponentError, match="is the one in service"):
        without(FIRST, "7")
    with pytest.raises(ComponentError, match="cannot be a shadow of itself"):
        with_version(FIRST, "7", 10, shadow=True)
    with pytest.raises(ComponentError, match="has what others leave"):
        with_version(FIRST, "7", 10)
    with pytest.raises(ComponentError, match=r"version 9 is not served(.|\n)*available here: 7"):
        without(FIRST, "9")


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"model": "flights"}', '{"model": "flights", "versions": [], "colour": 1}',
             '{"model": "flights", "versions": [{"version": "7", "percent": "all"}]}', "[" * 9999],
)  # fmt: skip
def test_a_file_that_holds_something_else_is_told_and_not_replaced(state: State, text: str) -> None:
    state.path.write_text(text)
    with pytest.raises(ComponentError, match=r"state\.json"):
        state.read()
    with pytest.raises(ComponentError, match=r"state\.json"):
        state.change(lambda _: FIRST, "over it")
    assert state.path.read_text() == text


def test_changes_at_the_same_time_are_all_made(state: State) -> None:
    def add(version: int) -> None:
        State(state.directory).change(lambda r: with_version(r or FIRST, str(version), 1), "one more")

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(add, range(10, 30)))
    release = state.require()
    assert {served.version for served in release.versions} == {"7", *map(str, range(10, 30))}
    assert release.stable.percent == 80
    assert [item.generation for _, item in state.history()] == list(range(1, 22))


def test_a_line_of_the_history_that_was_cut_off_hurts_no_other(state: State) -> None:
    with (state.directory / "history.jsonl").open("a") as file:
        file.write('{"action": "split", "mod')
    state.change(lambda r: only(r or FIRST, "8"), "after it")
    assert [release.stable.version for _, release in state.history()] == ["7", "8"]


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(place)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("needs leave to mount")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def test_a_full_disk_leaves_what_was(full_disk: Path) -> None:
    state = State(full_disk / "flights")
    state.change(lambda _: FIRST, "first")
    subprocess.run(["dd", "if=/dev/zero", f"of={full_disk}/ballast", "bs=4k"], capture_output=True, check=False)
    with pytest.raises(ComponentError, match="cannot be written: No space left"):
        state.change(lambda r: with_version(r or FIRST, "8", 10), "x" * 5000)
    assert state.require().versions == FIRST.versions
    assert sorted(path.name for path in state.directory.iterdir()) == ["history.jsonl", "state.json", "state.lock"]


def test_the_file_is_plain_json_for_other_programs(state: State) -> None:
    record = json.loads(state.path.read_text())
    assert record["versions"] == [{"version": "7", "percent": 100.0, "shadow": False}]
