"""Feast is loaded without the checks that take most of its import's time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from paths import PROJECT

PROGRAM = """
from turnout.features.loading import load_feast
load_feast()
import typeguard
from feast import Entity
Entity(name="airport", description=3)
@typeguard.typechecked
def add(number: int) -> int:
    return number + 1
try:
    add("1")
except typeguard.TypeCheckError:
    print("checked")
"""


def test_feasts_own_checks_are_left_out_and_others_are_made(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)  # typeguard reads the source
    done = subprocess.run([sys.executable, tmp_path / "program.py"], cwd=PROJECT, capture_output=True, text=True)
    assert done.stdout == "checked\n", done.stderr
