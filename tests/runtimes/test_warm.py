"""Warm processes load ahead what the components of several files need, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Ran

LIBRARY = """
import os
with open(os.environ["LOADED"], "a") as file:
    file.write(f"{__name__}\\n")
"""

STEPS = '''
from turnout import component


@component
def first() -> int:
    import shared
    return 1


@component
def second(n: int) -> int:
    """Add.

    Args:
        n: a number.
    """
    import shared
    return n + 1
'''


PIPELINE = '''
from project.steps import first, second
from project.third import third
from turnout import pipeline


@pipeline
def p(seldom: bool = False) -> int:
    """Count.

    Args:
        seldom: whether to add once more.
    """
    return third(n=second(n=first().output).output, seldom=seldom).output
'''

THIRD = '''
from turnout import component


@component
def third(n: int, seldom: bool) -> int:
    """Add, perhaps.

    Args:
        n: a number.
        seldom: whether to add.
    """
    if not seldom:
        return n
    import alone
    return n + 1
'''


@pytest.mark.parametrize(("seldom", "alone"), [("false", []), ("true", ["alone"])])
def test_a_library_is_loaded_once_for_all_steps_and_not_for_one_that_may_not_need_it(
    turnout: Callable[..., Ran], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seldom: str, alone: list[str]
) -> None:
    monkeypatch.setenv("LOADED", str(tmp_path / "loaded.txt"))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    files = {"shared.py": LIBRARY, "alone.py": LIBRARY, "project/__init__.py": ""}
    files |= {"project/steps.py": STEPS, "project/third.py": THIRD, "project/p.py": PIPELINE}
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    ran = turnout("run", "project.p:p", "-p", f"seldom={seldom}", "--json", directory=tmp_path)
    assert ran.status == 0, ran.err
    assert (tmp_path / "loaded.txt").read_text().split() == ["shared", *alone]
