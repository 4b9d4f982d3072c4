"""What a person sees of a run in the terminal, while it lasts and when it has ended."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from paths import PROJECT
from rich.console import Console

from turnout.authoring.source import load
from turnout.cli.progress import Progress
from turnout.cli.result import show_result
from turnout.plan.link import link
from turnout.plan.results import RunResult, StepResult
from turnout.spec.step_contract import Outcome, State

LONG = "the champion is better by 0.0312 (from 0.0201 to 0.0423) on 81,232 rows that neither of the two has learned yet"


def screen(progress: Progress, width: int = 80, height: int = 24) -> list[str]:
    text = io.StringIO()
    console = Console(file=text, width=width, height=height, force_terminal=True, color_system=None)
    progress.console = console
    console.print(progress.tree())
    return text.getvalue().splitlines()


@pytest.fixture
def progress() -> Progress:
    return Progress(link(load(f"{PROJECT}/examples/depth_search.py")), Console())


def looped(progress: Progress) -> str:
    return next(step.path for region in progress.plan.root.regions() if region.loop for step in region.steps())


def test_a_loop_says_how_many_of_its_iterations_have_ended(progress: Progress) -> None:
    path = looped(progress)
    states = [State.SUCCEEDED] * 3 + [State.FAILED, State.RUNNING]
    for index, state in enumerate(states):
        progress.watch(StepResult(path, (index,), state, items=(f"depth={index}",), total=50), "")
    (line,) = [line for line in screen(progress) if "50" in line]
    assert "4/50 1 RUNNING 1 FAILED" in line
    assert "depth=4" in line
    assert "EXECUTOR" not in line


def test_a_step_that_tries_again_says_why(progress: Progress) -> None:
    path = looped(progress)
    progress.watch(StepResult(path, (0,), State.PENDING, 1, error="no route to host\nmore", total=1), "")
    assert any("tries again after: no route to host" in line for line in screen(progress, 120))


def test_a_screen_that_is_too_low_shows_what_goes_on(progress: Progress) -> None:
    for step in progress.plan.steps():
        progress.watch(
            StepResult(step.path, (0,) if step.path == looped(progress) else (), State.SUCCEEDED, total=1), ""
        )
    assert len(screen(progress, height=4)) <= len(screen(progress, height=40))
    assert any("done" in line for line in screen(progress, height=4))


@pytest.mark.parametrize("width", [60, 80])
def test_the_end_of_a_run_is_told_whole(width: int, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("NO_COLOR", "1")
    log = f"/{'deep/' * 30}log.txt"
    error = f"ValueError: the matrix is singular @ fit.py:3\n  row 1: 0 0\n  {LONG}\n  hint: leave a column out"
    steps = [
        StepResult("evaluate", (), State.SUCCEEDED, 1, 1.0, 0.0, Outcome(State.SUCCEEDED, 1, {"reasons": [LONG]})),
        StepResult("train", (0,), State.FAILED, 2, 1.0, 0.0, Outcome(State.FAILED, 2, log=log), error,
                   items=("estimator=ridge",)),
    ]  # fmt: skip
    show_result(RunResult("p", "r1", State.FAILED, steps, {}, [], str(Path("/root"))))
    shown = capsys.readouterr().out
    lines = [re.sub("\x1b\\[[0-9;]*m", "", line).rstrip() for line in shown.splitlines()]
    assert "…" not in shown
    assert "\x1b[3" not in shown
    words = " ".join(" ".join(lines).split())
    assert LONG in words
    assert "train (estimator=ridge): FAILED after 2 attempts" in words
    assert log in lines
    assert "/root/report.html" in lines
    assert "    row 1: 0 0" in lines
    assert max(len(line) for line in lines if line not in (log,)) <= width


def test_what_goes_into_a_pipe_is_not_wrapped(capsys) -> None:
    error = f"ComponentError: {LONG}\n  hint: {LONG}"
    show_result(RunResult("p", "r1", State.FAILED, [StepResult("a", (), State.FAILED, 1, error=error)], {}, [LONG]))
    lines = capsys.readouterr().out.splitlines()
    assert f"  ComponentError: {LONG}" in lines
    assert f"    hint: {LONG}" in lines
    assert LONG in lines


def test_many_iterations_share_a_row(capsys) -> None:
    steps = [
        StepResult(
            "train", (index,), State.FAILED if index == 7 else State.SUCCEEDED, 1, 0.5, error="no" * (index == 7)
        )
        for index in range(50)
    ]
    show_result(RunResult("p", "r1", State.FAILED, steps))
    shown = capsys.readouterr().out
    assert "train ×50" in shown
    assert "49 SUCCEEDED, 1 FAILED" in shown
    assert "train (#8): FAILED" in shown
