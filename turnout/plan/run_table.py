"""What tells runs apart in a list: which metrics, which parameters, which run was best."""

from __future__ import annotations

import collections
import datetime
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from turnout.plan.metric_directions import higher_is_better
from turnout.plan.run_summary import RunSummary
from turnout.spec.step_contract import State

MOST_METRICS = 3
"""Metrics that have a column of their own."""


def metric_columns(runs: Sequence[RunSummary], first: str = "") -> list[str]:
    """The metrics that runs are told apart by: what decides first, then those that the most runs have.

    Args:
        first: a metric that is to be the first, if a run has it.
    """
    decided = [run for run in runs if run.verdict and run.metrics] or [run for run in runs if run.metrics]
    decides = collections.Counter(run.main_metrics[0].name for run in decided if run.main_metrics)
    counts: collections.Counter[str] = collections.Counter()
    for run in reversed(decided):
        counts.update({item.name: 1 for item in run.main_metrics})
    names = [name for name, _ in decides.most_common(1)] + [name for name, _ in counts.most_common()]
    if first and any(run.metric(first) for run in runs):
        names.insert(0, first)
    return list(dict.fromkeys(names))[:MOST_METRICS]


def best_run(runs: Sequence[RunSummary], metric: str) -> RunSummary | None:
    """The run with the best value of a metric, of those that did not fail; None when none has it.

    None too when the metric's name does not say which way is better; and of runs that check data none is the best. Of
    equal ones it is the first with a good verdict: the same training again is refused, since it is no better.
    """
    higher = higher_is_better(metric)
    if higher is None:
        return None
    values = [
        (found.value if higher else -found.value, run.verdict is not None and run.verdict.good is True, -index)
        for index, run in enumerate(runs)
        if run.state is not State.FAILED and not run.drift
        if (found := run.metric(metric)) and found.value == found.value
    ]
    return runs[-max(values)[2]] if values else None


def differing_parameters(runs: Sequence[RunSummary]) -> dict[str, list[str]]:
    """The parameters whose values are not the same in all runs, with the text of each run's value.

    Of a struct each field counts alone, as `hyperparameters.n_estimators`; of a run that has none the text is empty.
    """
    every = [dict(_leaves(run.parameters)) for run in runs]
    names = dict.fromkeys(name for values in every for name in values)
    names = {name: None for name in names if not any(other.startswith(f"{name}.") for other in names)}
    found = {name: [_text(values[name]) if name in values else "" for values in every] for name in names}
    return {name: texts for name, texts in found.items() if len(set(texts)) > 1}


def _leaves(values: Mapping[str, Any], around: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{around}{name}.")
        else:
            yield f"{around}{name}", value


def time_text(when: str) -> str:
    """A time in UTC, to the minute; nothing for one that is not known."""
    try:
        time = datetime.datetime.fromisoformat(when)
    except ValueError:
        return when
    time = time.astimezone(datetime.UTC) if time.tzinfo else time
    return f"{time:%Y-%m-%d %H:%M}"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str, sort_keys=True)


def cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
