"""Long work says where it is, now and then; short work says nothing."""

from __future__ import annotations

import re

import pytest

from turnout.data.progress import Progress


def test_short_work_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress("predicted", 100)
    for _ in range(10):
        progress.add(10)
    assert capsys.readouterr().out == ""


def test_long_work_says_what_is_done_of_how_much_and_not_its_end(capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress("predicted", 500_000, every=0)
    for _ in range(2):
        progress.add(250_000)
    line = r"predicted 250,000 of 500,000 rows \(50%\), about \d+ s left\n"
    assert re.fullmatch(line, capsys.readouterr().out)


def test_work_without_an_end_says_what_is_done(capsys: pytest.CaptureFixture[str]) -> None:
    Progress("predicted", every=0).add(7)
    assert capsys.readouterr().out == "predicted 7 rows in 0 s\n"
