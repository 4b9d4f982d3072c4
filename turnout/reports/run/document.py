"""The page of a run, which tells it in the order in which one asks: what came of it, why, from what, and how."""

from __future__ import annotations

from collections.abc import Iterator

from turnout.reports.drawing import graph
from turnout.reports.page import Link, Section, page
from turnout.reports.run.facts import (
    artifacts_section,
    data_section,
    model_section,
    outputs_section,
    parameters_section,
)
from turnout.reports.run.gates import gates_section
from turnout.reports.run.metrics import metrics_sections
from turnout.reports.run.own_reports import main_reports
from turnout.reports.run.shown import ShownRun
from turnout.reports.run.steps import steps_section
from turnout.reports.run.verdicts import about, failed_steps, headline, verdicts_section
from turnout.spec.step_contract import State


def run_page(run: ShownRun) -> str:
    """The page of a run, while it goes on or after it; all that is in it is in this one text."""
    said = headline(run)
    metrics, reports = metrics_sections(run), main_reports(run, said.step)
    failed = run.by_label.get(said.step) in failed_steps(run.steps)  # what it reports says more than any metric
    sections = [
        *_next(run, said.step),
        verdicts_section(run, said),
        *([*reports, *metrics] if failed else [*metrics, *reports]),
        parameters_section(run),
        gates_section(run),
        model_section(run),
        data_section(run),
        outputs_section(run),
        *_graph(run),
        steps_section(run),
        artifacts_section(run),
    ]
    return page(
        run.name,
        [section for section in sections if section.has_content],
        about=about(run, said),
        verdict=said.text,
        good=said.good,
        reasons=said.reasons,
        links=run.links.around,
    )


def _next(run: ShownRun, label: str) -> Iterator[Section]:
    """Where one looks after a failure: the step's page and its log."""
    step = run.by_label.get(label)
    if step and step.state is State.FAILED:
        links = [Link(f"All of {label}", run.links.step(step)), Link("Its log", run.links.log(step))]
        yield Section("", links=[link for link in links if link.href])


def _graph(run: ShownRun) -> Iterator[Section]:
    if not run.plan:
        return
    drawn = graph(run.plan, run.steps)
    if drawn:
        yield Section(
            "Graph", figures=[(drawn, "A box is a step, or several that are alike; a dashed frame belongs together.")]
        )
    else:
        count = len(run.plan.steps())
        yield Section(
            "Graph", f"With {count:,} steps it is too large to be read. The table has the steps in their order."
        )
