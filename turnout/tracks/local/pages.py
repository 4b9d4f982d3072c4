"""The pages of a local run as files: `report.html` in the run's folder, and one in the folder of each of its steps."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from upath import UPath

from turnout.execution.own_files import OwnFiles
from turnout.execution.store import ArtifactStore, local_path, segment
from turnout.plan.model import Plan
from turnout.plan.results import RunResult, StepResult
from turnout.reports.run.document import run_page
from turnout.reports.run.markdown import run_markdown
from turnout.reports.run.shown import Links, ShownRun
from turnout.reports.run.step import step_page
from turnout.spec.step_contract import Run, State

REPORT, STEP = "report.html", "step.html"

MOST = 1_000
"""Steps whose pages are written with the run's; `turnout show RUN_ID STEP` writes that of any other."""


def write_pages(
    store: ArtifactStore,
    run: Run,
    plan: Plan,
    record: Mapping[str, Any],
    steps: Sequence[StepResult],
    asked: StepResult | None = None,
) -> UPath:
    """Write the page of a run, and those of its steps where the root is a directory of this machine.

    Args:
        asked: a step whose page is written in any case.

    Returns:
        Where the page of the run is, or that of the step that was asked for.

    Raises:
        OSError: one cannot be written; nothing is left of that.
    """
    pages = _Pages(store, run, plan, record, steps, asked)
    for step in pages.written:
        _write(pages.place(step), step_page(pages.of_step(step), step))
    _write(page_of(store, run), run_page(pages.of_run()))
    return page_of(store, run, asked if asked and pages.has_page(asked) else None)


def markdown(store: ArtifactStore, run: Run, plan: Plan, record: Mapping[str, Any], steps: Sequence[StepResult]) -> str:
    """A run as Markdown; as `write_pages` takes it."""
    return run_markdown(ShownRun(record, steps, OwnFiles(store, run, any_pipeline=True).read, plan=plan))


def page_of(store: ArtifactStore, run: Run, step: StepResult | None = None) -> UPath:
    """Where the page of a run, or of a step of it, is when it has been written."""
    return store.step_path(run, step.name, step.iteration) / STEP if step else store.run_path(run) / REPORT


def known_steps(store: ArtifactStore, run: Run, plan: Plan, record: Mapping[str, Any]) -> list[StepResult]:
    """The steps of a run: as its record tells them, or those that have ended so far."""
    if record.get("steps"):
        return RunResult.from_dict(record).steps
    paths = {segment(step.path): step.path for step in plan.steps()}
    return [
        StepResult.of(paths[name], iteration, outcome, plan.title(paths[name]))
        for (name, iteration), outcome in store.outcomes(run).items()
        if name in paths
    ]


class _Pages:
    def __init__(
        self,
        store: ArtifactStore,
        run: Run,
        plan: Plan,
        record: Mapping[str, Any],
        steps: Sequence[StepResult],
        asked: StepResult | None,
    ):
        self.store, self.run, self.root = store, run, str(store.root)
        self.shown = ShownRun(record, steps, OwnFiles(store, run, any_pipeline=True).read, plan=plan)
        there = [step for step in steps if store.is_local and step.state.finished and self.place(step).parent.exists()]
        first = sorted(
            there, key=lambda step: (step is not asked, step.state is not State.FAILED, bool(step.iteration))
        )
        self.written = first[:MOST]
        self._keys = {step.key for step in self.written}
        more = len(there) - len(self.written)
        said = f"The pages of {MOST:,} of {len(there):,} steps are written; any other: turnout show {run.run_id} STEP."
        self.note = said if more else ""

    def place(self, step: StepResult) -> UPath:
        return page_of(self.store, self.run, step)

    def has_page(self, step: StepResult) -> bool:
        return step.key in self._keys

    def of_run(self) -> ShownRun:
        return self._shown(str(self.store.run_path(self.run)))

    def of_step(self, step: StepResult) -> ShownRun:
        return self._shown(str(self.place(step).parent))

    def _shown(self, here: str) -> ShownRun:
        links = Links(
            step=lambda step: self._address(str(self.place(step)), here) if self.has_page(step) else "",
            log=lambda step: self._address(step.outcome.log if step.outcome else "", here),
            artifact=lambda step, name, artifact: self._address(artifact.uri if artifact.digest else "", here),
            note=self.note,
            run=self._address(str(page_of(self.store, self.run)), here),
        )
        return self.shown.with_links(links)

    def _address(self, uri: str, here: str) -> str:
        """From one file below the root to another: the root may be moved.

        Nothing for what lies elsewhere: nobody may be led to a page that a parameter of an importer has named.
        """
        path = local_path(uri) if uri and self.store.is_local else None
        if not path or not Path(os.path.normpath(path)).is_relative_to(self.root):
            return ""
        return quote(os.path.relpath(path, here))


def _write(path: UPath, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError:
        path.unlink(missing_ok=True)  # half a page
        raise
