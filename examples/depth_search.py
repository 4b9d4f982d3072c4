"""A loop over a parameter: one training for each depth, the best of which goes into service if it is good enough."""

from typing import Annotated

from annotated_types import Ge
from kfp import dsl

from turnout import Asset, component, on_airflow, pipeline


@component
def features(since: str, until: str) -> str:
    """Compute the features of an interval.

    Args:
        since: its start.
        until: its end.
    """
    return f"features from {since} to {until}"


@component
def train(features: str, depth: Annotated[int, Ge(1)]) -> float:
    """Fit a model and judge it.

    Args:
        features: what to learn from.
        depth: of the trees.
    """
    return 1 - 1 / (1 + depth)


@component
def best(scores: list) -> float:
    """Choose the best score.

    Args:
        scores: one a model.
    """
    return max(scores)


@component
def promote(score: float) -> float:
    """Put the model into service.

    Args:
        score: of the model.
    """
    return score


@pipeline
def depth_search(depths: list[int] = [2, 4, 8], since: str = "2024-01-01", until: str = "2024-02-01"):
    """Search over several depths.

    Args:
        depths: to try.
        since: start of the data.
        until: its end.
    """
    prepared = features(since=since, until=until)
    with dsl.ParallelFor(depths, name="each-depth", parallelism=2) as depth:
        fitted = train(features=prepared.output, depth=depth)
        fitted.set_retry(num_retries=2, backoff_duration="60s", backoff_factor=2.0, backoff_max_duration="3600s")
    chosen = best(scores=dsl.Collected(fitted.output))
    with dsl.If(chosen.output > 0.7, name="good-enough"):
        champion = promote(score=chosen.output)
        on_airflow(champion, pool="default_pool", publishes={"Output": Asset("champion")})
