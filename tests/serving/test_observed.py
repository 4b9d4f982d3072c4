"""What the judge of releases gets to see on this machine: the access log, in windows with a constant split."""

from __future__ import annotations

import datetime
import json
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from turnout.errors import ComponentError
from turnout.serving import access_log
from turnout.serving import observed as observed_module
from turnout.serving.directory import Directory
from turnout.serving.observed import Observer, logged, observed
from turnout.serving.release import Release, Served
from turnout.serving.rollout.labels import LabelSource
from turnout.serving.rollout.observations import Window
from turnout.serving.rollout.shadow import differences

START = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
RELEASE = Release("flights", (Served("7", 90.0), Served("8", 10.0)))


def line(second: float, version: str = "7", split: str = "8=10 7=90", **more: Any) -> str:
    made = {"time": f"{START.timestamp() + second:.6f}", "version": version, "split": split, "method": "POST",
            "code": 200, "flags": "-", "duration_us": 1500, **more}  # fmt: skip
    return json.dumps(made)


@pytest.fixture
def directory(tmp_path: Path) -> Directory:
    made = Directory(tmp_path)
    made.access.mkdir()
    return made


def test_a_window_ends_where_the_split_changes(directory: Directory) -> None:
    lines = [line(0, split="7=100"), line(1, split="7=100"), line(2), line(3, "8"), line(4, "8", "8=50 7=50")]
    directory.access_log.write_text("\n".join(lines) + "\n")
    windows = observed(directory, RELEASE, START)
    assert [window.share for window in windows] == [0.0, 0.1, 0.5]
    assert [(window.champion.requests, window.canary.requests) for window in windows] == [(2, 0), (1, 1), (0, 1)]
    assert windows[0].since == START


def test_failures_fallbacks_and_lost_connections_are_errors_and_clients_faults_are_not(directory: Directory) -> None:
    lines = [
        line(0, "8", code=500),
        line(1, "8", code=503, flags="UF"),
        line(2, "8", code=504, flags="UT"),
        line(3, "8", fallback="7; model"),
        line(4, "8", code=422),
        line(5, "8", code=0, flags="DC"),
        line(6, "8", method="GET"),
        line(7, "8"),
    ]
    directory.access_log.write_text("\n".join(lines) + "\n")
    (window,) = observed(directory, RELEASE, START)
    assert (window.canary.requests, window.canary.errors) == (6, 4)
    assert list(window.canary.latencies_ms) == [1.5, 1.5]


def test_what_others_did_and_what_was_before_is_left_out(directory: Directory) -> None:
    (directory.access / f"until-{int(START.timestamp() * 1e9) + 5 * 10**9}.jsonl").write_text(
        line(-1) + "\n" + line(1) + "\n"
    )
    cut_off = line(4)[:30]
    directory.access_log.write_text("\n".join([line(2, "9"), line(3, ""), "{}", "[]", "null", cut_off]))
    (window,) = observed(directory, RELEASE, START)
    assert (window.champion.requests, window.canary.requests) == (1, 0)


def test_nothing_seen_is_no_window(directory: Directory) -> None:
    assert observed(directory, RELEASE, START) == []


def test_the_log_is_cut_into_files_of_which_the_oldest_go(directory: Directory) -> None:
    reopened = []
    for number in range(5):
        directory.access_log.write_text(line(number) + "\n")
        assert access_log.rotate(directory.access, lambda: reopened.append(1), largest=10, kept=3)
    assert len(reopened) == 5
    assert not access_log.rotate(directory.access, lambda: reopened.append(1), largest=10, kept=3)
    assert [entry["time"] - START.timestamp() for entry in access_log.Reader(directory.access).lines()] == [2, 3, 4]


def kept(directory: Directory, rows: dict[str, list[Any]], number: int = 1) -> None:
    place = directory.requests / "date=2026-01-01"
    place.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({**rows, "row": [0] * len(rows["version"])}), place / f"worker-{number}.parquet")


def test_predictions_are_those_of_the_request_log(directory: Directory) -> None:
    lines = [line(0, request_id="a"), line(1, "8", request_id="b"), line(2, "8", request_id="not kept")]
    directory.access_log.write_text("\n".join(lines) + "\n")
    kept(directory, {"request_id": ["a", "b", "old"], "version": ["7", "8", "7"], "latency_ms": [1.0, 1.0, 1.0],
                     "prediction": [0, 1, 1], "probability": [0.25, 0.75, 0.5]})  # fmt: skip
    (window,) = observed(directory, RELEASE, START)
    assert (list(window.champion.predictions), list(window.canary.predictions)) == ([0.25], [0.75])


def test_copies_for_a_shadow_are_beside_what_users_saw(directory: Directory) -> None:
    release = Release("flights", (Served("7", 100.0), Served("8", 100.0, True)))
    directory.access_log.write_text("\n".join(line(s, split="7=100", request_id=str(s)) for s in range(3)) + "\n")
    kept(directory, {"request_id": ["0", "0", "1", "1"], "version": ["7", "8", "7", "8"],
                     "latency_ms": [1.0, 2.0] * 2, "prediction": ["late", "late", "late", "on time"]})  # fmt: skip
    (window,) = observed(directory, release, START)
    assert (window.shadow, window.share, window.version) == (True, 0.5, "8")
    assert (window.champion.requests, window.canary.requests) == (2, 2)
    assert list(window.canary.predictions) == ["late", "on time"]
    assert list(window.canary.latencies_ms) == [2.0, 2.0]
    assert list(window.champion.latencies_ms) == [1.0, 1.0]  # as its worker saw it, as of the copies


def test_predictions_are_left_out_from_where_a_worker_has_not_written_its_own_yet(directory: Directory) -> None:
    """Else those of one version would be there, and those of the other not: a difference where there is none."""
    ago = time.time() - START.timestamp() - 30
    lines = [line(ago + number, "8" if number % 2 else "7", request_id=str(number)) for number in range(6)]
    directory.access_log.write_text("\n".join(lines) + "\n")
    kept(directory, {"request_id": ["0", "1", "2", "4"], "version": ["7", "8", "7", "7"], "latency_ms": [1.0] * 4,
                     "prediction": [0.5] * 4})  # fmt: skip
    (window,) = observed(directory, RELEASE, START)
    assert (len(window.champion.predictions), len(window.canary.predictions)) == (2, 1)
    assert (window.champion.requests, window.canary.requests) == (3, 3)


def test_what_a_shadow_said_is_held_against_what_users_got_row_by_row(directory: Directory) -> None:
    kept(directory, {"request_id": ["a", "a", "b", "b", "c"], "version": ["7", "8", "7", "8", "7"],
                     "latency_ms": [1.0] * 5, "prediction": ["late", "late", "late", "on time", "late"],
                     "size": [1.0, 1.0, 2.0, 2.0, 3.0]})  # fmt: skip
    found = differences(*(logged(directory, version, START) for version in ("7", "8")))
    assert (found.pairs, found.different) == (2, 1)
    assert found.table.to_pylist() == [
        {"request_id": "b", "prediction": "late", "size": 2.0, "prediction_shadow": "on time", "difference": 1.0}
    ]
    assert differences(logged(directory, "7", START), logged(directory, "9", START)).pairs == 0


def test_a_further_look_reads_only_what_came_since_also_when_the_log_was_cut_meanwhile(directory: Directory) -> None:
    """What has been read is emptied here, and remains known."""
    observer = Observer(directory, START)
    whole, half = line(0, request_id="a") + "\n", line(1, "8", request_id="b")
    directory.access_log.write_text(whole + half[:40])
    kept(directory, {"request_id": ["a"], "version": ["7"], "latency_ms": [1.0], "prediction": [0.25]})
    assert [window.champion.requests for window in observer.windows(RELEASE)] == [1]
    for file in directory.requests.glob("*/*.parquet"):
        file.write_bytes(b"")
    with directory.access_log.open("r+") as log:
        log.write(" " * (len(whole) - 1) + "\n")
        log.seek(0, 2)
        log.write(half[40:] + "\n")
    directory.access_log.rename(directory.access / "until-4102444800000000000.jsonl")
    directory.access_log.write_text(line(2, request_id="c") + "\n")
    kept(directory, {"request_id": ["b"], "version": ["8"], "latency_ms": [1.0], "prediction": [0.75]}, 2)
    (window,) = observer.windows(RELEASE)
    assert (window.champion.requests, window.canary.requests) == (2, 1)
    assert (list(window.champion.predictions), list(window.canary.predictions)) == ([0.25], [0.75])


def labelled(directory: Directory, labels: dict[str, list[Any]], **source: Any) -> Window:
    lines = [line(s, "8" if s % 2 else "7", request_id=str(s)) for s in range(4)]
    directory.access_log.write_text("\n".join(lines) + "\n")
    pq.write_table(pa.table(labels), directory.path / "labels.parquet")
    found = LabelSource(str(directory.path / "labels.parquet"), **source)
    (window,) = observed(directory, RELEASE, START, found)
    return window


def test_labels_that_have_come_say_how_wrong_each_version_was(directory: Directory) -> None:
    kept(directory, {"request_id": ["0", "1", "2", "3"], "version": ["7", "8"] * 2, "latency_ms": [1.0] * 4,
                     "prediction": ["late", "in time"] * 2, "probability": [0.75, 0.25, 0.5, 0.0]})  # fmt: skip
    labels = {"request_id": ["0", "1", "3", "no request"], "truth": ["late", "late", "in time", "late"],
              "sold": [1.0, 0.5, None, 1.0]}  # fmt: skip
    window = labelled(directory, labels, label="truth", business="sold")
    assert list(window.champion.losses) == [0.0625]
    assert list(window.canary.losses) == [0.5625, 0.0]
    assert list(window.canary.bias) == [-0.75, 0.0]
    assert (list(window.champion.business), list(window.canary.business)) == ([1.0], [0.5])


def test_labels_are_joined_by_what_the_model_takes_and_numbers_by_their_error(directory: Directory) -> None:
    kept(directory, {"request_id": ["0", "1", "2", "3"], "version": ["7", "8"] * 2, "latency_ms": [1.0] * 4,
                     "prediction": [10.0, 20.0, 30.0, 40.0], "flight": [0, 1, 2, 3]})  # fmt: skip
    labels = {"flight": ["0", "1", "3"], "minutes": [12, 15, 400]}
    window = labelled(directory, labels, label="minutes", keys=("flight",), largest_error=20.0)
    assert list(window.champion.losses) == pytest.approx([0.1])
    assert list(window.canary.losses) == pytest.approx([0.25, 1.0])
    assert list(window.canary.bias) == pytest.approx([0.25, -1.0])


@pytest.mark.parametrize(
    ("labels", "source", "told"),
    [
        ({"request_id": ["0"], "truth": ["very late"]}, {"label": "truth"}, "two classes, .* there are 3"),
        ({"request_id": ["0"], "truth": ["late"]}, {"label": "thruth"}, "no column thruth"),
        ({"request_id": ["0"], "sold": [3.0]}, {"business": "sold"}, "between 0 and 1"),
        ({"customer": ["0"], "truth": ["late"]}, {"label": "truth", "keys": ("customer",)}, "no column customer"),
    ],
)  # fmt: skip
def test_labels_that_cannot_be_of_the_predictions_are_told(
    directory: Directory, labels: dict[str, list[Any]], source: dict[str, Any], told: str
) -> None:
    kept(directory, {"request_id": ["0", "1"], "version": ["7", "8"], "latency_ms": [1.0] * 2,
                     "prediction": ["late", "in time"], "probability": [0.75, 0.25]})  # fmt: skip
    with pytest.raises(ComponentError, match=told):
        labelled(directory, labels, **source)


def test_copies_that_a_shadow_failed_to_answer_are_its_errors(directory: Directory) -> None:
    release = Release("flights", (Served("7", 100.0), Served("8", 100.0, True)))
    lines = [line(s, split="7=100", request_id=str(s), **({"code": 500} if s == 3 else {})) for s in range(5)]
    directory.access_log.write_text("\n".join(lines) + "\n")
    kept(directory, {"request_id": ["0", "0", "1", "2", "3", "4"], "version": ["7", "8", "7", "7", "8", "7"],
                     "latency_ms": [1.0] * 6, "prediction": [0.5] * 6})  # fmt: skip
    place = directory.failures / "date=2026-01-01"
    place.mkdir(parents=True)
    failed = {"request_id": ["1", "2", "2", "0"], "version": ["8", "8", "8", "7"]}
    pq.write_table(pa.table(failed), place / "worker-1.parquet")
    (window,) = observed(directory, release, START)
    # Of request 4 no copy is known: it counts for neither.
    assert (window.champion.requests, window.canary.requests) == (4, 4)
    assert (window.champion.errors, window.canary.errors) == (1, 2)


def test_of_users_who_keep_their_version_the_first_request_counts(directory: Directory) -> None:
    release = Release("flights", (Served("7", 50.0), Served("8", 50.0)), sticky="x-user")
    lines = [line(s, "8" if s % 2 else "7", split="8=50 7=50", user=f"u{s % 2}", request_id=str(s)) for s in range(6)]
    lines += [line(6, "8", split="8=50 7=50", request_id="of nobody"), line(7, "8", split="8=60 7=40", user="u1")]
    directory.access_log.write_text("\n".join(lines) + "\n")
    first, second = observed(directory, release, START)
    assert (first.champion.requests, first.canary.requests) == (1, 2)
    assert (second.champion.requests, second.canary.requests) == (0, 1)


def test_a_shadow_whose_probabilities_give_another_class_differs_and_one_that_is_surer_does_not(
    directory: Directory,
) -> None:
    kept(directory, {"request_id": ["a", "a", "b", "b"], "version": ["7", "8"] * 2, "latency_ms": [1.0] * 4,
                     "prediction": ["late"] * 3 + ["in time"], "probability": [0.6, 0.9, 0.6, 0.4]})  # fmt: skip
    found = differences(*(logged(directory, version, START) for version in ("7", "8")))
    assert (found.pairs, found.different, found.labels) == (2, 1, True)
    assert found.rows == (("b", 0.6, 0.4, pytest.approx(0.2)),)


def test_a_file_of_labels_is_read_again_when_it_has_changed_and_not_before(
    directory: Directory, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept(directory, {"request_id": ["0", "1"], "version": ["7", "8"], "latency_ms": [1.0] * 2,
                     "prediction": ["late", "in time"], "probability": [0.75, 0.25]})  # fmt: skip
    directory.access_log.write_text("\n".join(line(s, "78"[s], request_id=str(s)) for s in range(2)) + "\n")
    read: list[LabelSource] = []
    once = observed_module.read_labels
    monkeypatch.setattr(observed_module, "read_labels", lambda source: read.append(source) or once(source))
    file = directory.path / "labels.csv"
    file.write_text("request_id,truth\n0,late\n")
    observer = Observer(directory, START, LabelSource(str(file), "truth"))
    for _ in range(3):
        (window,) = observer.windows(RELEASE)
        assert (list(window.champion.losses), list(window.canary.losses)) == ([0.0625], [])
    assert len(read) == 1
    with file.open("a") as more:
        more.write("1,late\n")
    (window,) = observer.windows(RELEASE)
    assert (list(window.champion.losses), list(window.canary.losses)) == ([0.0625], [0.5625])
