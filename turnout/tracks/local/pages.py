"""The pages of a local run as files: `report.html` in the run's folder, and one in the folder of each of its steps."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from upath import UPath

from turnout.execution.own_files import OwnFiles
from turnout.execution.store import ArtifactStore, local_path
from turnout.plan.model import Plan
from turnout.plan.results import StepResult
from turnout.reports.run.document import run_page
from turnout.reports.run.shown import Links, ShownRun
from turnout.reports.run.step import step_page
from turnout.spec.step_contract import Run

REPORT, STEP = "report.html", "step.html"


def write_pages(
    store: ArtifactStore, run: Run, plan: Plan, record: Mapping[str, Any], steps: Sequence[StepResult]
) -> None:
    """Write the page of a run, and those of its steps where the root is a directory of this machine.

    Raises:
        OSError: one cannot be written; nothing is left of that.
    """
    pages = _Pages(store, run, plan, record, steps)
    if store.is_local:
        for step in steps:
            if pages.has_page(step):
                _write(pages.place(step), step_page(pages.of_step(step), step))
    _write(store.run_path(run) / REPORT, run_page(pages.of_run()))


class _Pages:
    def __init__(
        self, store: ArtifactStore, run: Run, plan: Plan, record: Mapping[str, Any], steps: Sequence[StepResult]
    ):
        self.store, self.run = store, run
        self.files = OwnFiles(store, run, any_pipeline=True)
        self.root = str(store.root)
        self.shown = ShownRun(record, steps, self.files.read, plan=plan)

    def place(self, step: StepResult) -> UPath:
        return self.store.step_path(self.run, step.name, step.iteration) / STEP

    def has_page(self, step: StepResult) -> bool:
        return self.store.is_local and step.state.finished and self.place(step).parent.exists()

    def of_run(self) -> ShownRun:
        return self._shown(str(self.store.run_path(self.run)))

    def of_step(self, step: StepResult) -> ShownRun:
        return self._shown(str(self.place(step).parent))

    def _shown(self, here: str) -> ShownRun:
        links = Links(
            step=lambda step: self._address(str(self.place(step)), here) if self.has_page(step) else "",
            log=lambda step: self._address(step.outcome.log if step.outcome else "", here),
            artifact=lambda step, name, artifact: self._address(artifact.uri if artifact.digest else "", here),
            run=self._address(str(self.store.run_path(self.run) / REPORT), here),
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
