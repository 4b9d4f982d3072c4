"""What a person is told of a step's failure: its lines as they are, and whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from turnout.errors import ComponentError, Fault
from turnout.execution.executor import explain, report


def test_the_place_stands_on_the_first_line_and_the_others_stay_lines() -> None:
    fault = Fault("the table does not fit:\nrow 1 has no time\nrow 7 has no time", "data", (), "leave them out")
    assert str(fault).splitlines() == [
        "the table does not fit @ data:",
        "  row 1 has no time",
        "  row 7 has no time",
        "  hint: leave them out",
    ]


def test_an_error_of_anothers_code_keeps_its_lines() -> None:
    assert explain(ValueError("singular matrix:\n0 0\n0 1")).splitlines() == [
        "ValueError: singular matrix:",
        "  0 0",
        "  0 1",
    ]


@pytest.mark.parametrize("error", [ValueError("é and more\n" * 3000), ComponentError("x" * 9000)])
def test_of_a_very_long_error_whole_lines_are_told(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TURNOUT_ERROR_FILE", str(tmp_path / "error.txt"))
    report(error)
    text = (tmp_path / "error.txt").read_text()
    *lines, last = text.splitlines()
    assert len(text.encode()) <= 4096
    assert last.endswith("the rest is in the log)")
    if isinstance(error, ValueError):
        assert set(lines[1:]) == {"  é and more"}
