"""Real runs that can be told apart, made in this process: three that judge, one that fails, three checks for drift."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import in_process
import pytest

from turnout import verbs
from turnout.execution.run_summaries import run_summary
from turnout.execution.store import ArtifactStore
from turnout.plan.run_summary import RunSummary

JUDGED = "tests/examples/judged.py"

Runs = Callable[..., RunSummary]


def runner(root: Path, patch: pytest.MonkeyPatch) -> Runs:
    """Runs a pipeline of the examples under a root; what is then read of it."""
    runtime = in_process.install(patch)

    def call(run_id: str, name: str = "judged", tags: dict[str, str] = {}, **parameters: Any) -> RunSummary:
        verbs.run(f"{JUDGED}:{name}", parameters, root=root, run_id=run_id, runtime=runtime, tags=tags)
        found = run_summary(ArtifactStore(str(root)), name, run_id)
        assert found
        return found

    return call


def make_runs(root: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        run = runner(root, patch)
        run("one", quality=0.7, version="1", tags={"baseline": ""})
        run("two", quality=0.4, rows=5, tags={"owner": "ann"})
        run("three", quality=0.9, version="2", previous="1", settings={"depth": 7, "seed": 0})
        run("bad", settings={"depth": -1, "seed": 0})
        for day, distance in (("2026-11-20", 0.02), ("2026-11-21", 0.05), ("2026-11-22", 0.4)):
            run(f"day-{day}", "watched", since=f"{day}T00:00:00+00:00", distance=distance)
