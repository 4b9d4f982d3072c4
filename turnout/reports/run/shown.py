"""A run that is to be shown: what is known of it, how its files are opened, where its pages lead."""

from __future__ import annotations

import copy
import dataclasses
import datetime
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from turnout.errors import TurnoutError
from turnout.plan.model import Plan, Step
from turnout.plan.progress import Progress
from turnout.plan.replay import replay
from turnout.plan.results import Read, StepResult
from turnout.plan.run_summary import MetricValue, RunSummary, Verdict, summarised
from turnout.reports.page import Link
from turnout.spec.step_contract import Artifact, State


def _nowhere(*_: Any) -> str:
    return ""


@dataclass(frozen=True)
class Links:
    """Where the pages of a run lead. An empty address: nowhere.

    Attributes:
        step: the page of a step.
        log: the log of a step.
        artifact: an artifact of a step, by the name of the output, to open or to keep.
        around: other pages, such as the list of runs; they stand above the title.
        run: from the page of a step to that of its run.
        note: what is to be said of the pages of steps.
    """

    step: Callable[[StepResult], str] = _nowhere
    log: Callable[[StepResult], str] = _nowhere
    artifact: Callable[[StepResult, str, Artifact], str] = _nowhere
    around: Sequence[Link] = ()
    run: str = ""
    note: str = ""


@dataclass(frozen=True)
class ShownRun:
    """A run that is to be shown, whatever it runs on, while it goes on or after it.

    Attributes:
        record: `run.json`, or as much of it as there is: `pipeline`, `run_id`, and if known `state`, `parameters`,
            `outputs`, `errors`, `create_time`, `end_time`, and `changed`, the parameters that differ from the defaults.
        given: the steps, by the plan's paths; those that have not begun may be missing.
        read: opens what the steps have left, and only what may be shown.
        plan: None where it is not known: nothing is said of conditions and inputs then, and no graph drawn.
    """

    record: Mapping[str, Any]
    given: Sequence[StepResult]
    read: Read
    links: Links = field(default_factory=Links)
    plan: Plan | None = None

    @property
    def name(self) -> str:
        return f"{self.record['pipeline']} {self.record['run_id']}"

    @functools.cached_property
    def progress(self) -> Progress | None:
        return replay(self.plan, self.parameters, self.given) if self.plan else None

    @functools.cached_property
    def steps(self) -> list[StepResult]:
        """All steps there are, in the plan's order, those too that have not begun; without a plan in the given one."""
        if not self.plan or not self.progress:
            return list(self.given)
        found = {(step.name, step.iteration): step for step in self.given}
        for execution in self.progress.executions():
            key = (execution.path, execution.iteration)
            if isinstance(execution.node, Step):
                step = found.get(key) or StepResult(*key, state=execution.state)
                items = step.items or self._items(*key)
                found[key] = dataclasses.replace(step, title=self.plan.title(step.name), items=items)
        order = {step.path: place for place, step in enumerate(self.plan.steps())}
        return sorted(found.values(), key=lambda step: (order.get(step.name, len(order)), step.iteration))

    def _items(self, step: str, iteration: tuple[int, ...]) -> tuple[str, ...]:
        """What the items of the loops around a step are called; nothing where they are not known any more."""
        try:
            return self.progress.values.item_labels(step, iteration) if self.progress else ()
        except (TurnoutError, LookupError):
            return ()

    @functools.cached_property
    def by_label(self) -> Mapping[str, StepResult]:
        return {step.label: step for step in self.steps}

    @functools.cached_property
    def summary(self) -> RunSummary:
        return summarised(self.record, self.steps)

    @functools.cached_property
    def metrics(self) -> Mapping[str, list[MetricValue]]:
        """What each step has measured, by its label; the step that decided first."""
        found: dict[str, list[MetricValue]] = {}
        for item in self.summary.metrics:
            found.setdefault(item.step, []).append(item)
        return found

    @functools.cached_property
    def verdicts(self) -> Mapping[str, Verdict]:
        """What each step has decided, by its label."""
        return {item.step: item for item in self.summary.verdicts}

    @property
    def state(self) -> State | None:
        return self.summary.state

    @property
    def going_on(self) -> bool:
        return self.state is not None and not self.state.finished

    @property
    def parameters(self) -> Mapping[str, Any]:
        return self.record.get("parameters") or {}

    @functools.cached_property
    def seconds(self) -> float:
        """How long the run took, or has taken so far; 0 when that is not known."""
        last = max((self.start(step) + step.duration_s for step in self.steps), default=0.0)
        return self.summary.seconds or last

    def with_links(self, links: Links) -> ShownRun:
        """The same run on another page; what all pages need to know is found out once."""
        _ = self.by_label, self.metrics, self.verdicts
        other = copy.copy(self)
        object.__setattr__(other, "links", links)
        return other

    def start(self, step: StepResult) -> float:
        """Seconds from the start of the run to that of a step."""
        if step.start_s or not step.outcome or step.cached:
            return step.start_s
        began, started = _time(self.summary.started), _time(step.outcome.started)
        return max(0.0, (started - began).total_seconds()) if began and started else 0.0

    def artifacts(self) -> Iterator[tuple[StepResult, str, Artifact]]:
        """What the steps have made, with the names of the outputs."""
        for step in self.steps:
            for name, artifact in (step.outcome.artifacts if step.outcome else {}).items():
                yield step, name, artifact

    def linked(self, step: StepResult | str) -> Any:
        """The name of a step as a cell, which leads to its page."""
        if isinstance(step, str):
            if step not in self.by_label:
                return step
            step = self.by_label[step]
        return link_or_text(step.label, self.links.step(step))


def link_or_text(text: str, href: str) -> Any:
    return Link(text, href) if href else text


def _time(text: str) -> datetime.datetime | None:
    try:
        found = datetime.datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=datetime.UTC)
