"""Choose the best of several searches for hyperparameters."""

from typing import Any, List, NamedTuple  # noqa: UP035 - KFP reads this spelling

from turnout import HTML, Dataset, Input, Metrics, Output, component


class Chosen(NamedTuple):
    """The best estimator and its hyperparameters, as `train` takes them, and their score."""

    estimator: str
    best: dict[str, Any]
    score: float


@component
def choose(
    tables: Input[List[Dataset]],  # noqa: UP006
    metrics: Output[Metrics],
    report: Output[HTML],
) -> Chosen:
    """Compare what several `tune` steps found, and choose the best: the end of a loop over candidates.

    Args:
        tables: the tables of trials, judged by the same rows; collected from a loop.
        metrics: the score of each candidate.
        report: the candidates side by side, the chosen one first.
    """
    from turnout.models.candidates import candidates_report, read_candidates

    metric, ranked = read_candidates([item.metadata for item in tables])
    candidates_report(metric, ranked, tables[0].metadata["tested_on"]).write(report)
    for index, item in enumerate(ranked, 1):
        print(f"{index}. {metric} {item.score:.6g} {item.estimator} {dict(item.hyperparameters)}")
        metrics.log_metric(f"{metric}_{index}", item.score)
    best = ranked[0]
    return Chosen(best.estimator, dict(best.hyperparameters), best.score)
