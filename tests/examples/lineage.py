"""From a table to a model: components that say which assets they read and publish."""

from typing import NamedTuple

from kfp import dsl

from turnout import Asset, Dataset, Input, Metrics, Model, Output, component, pipeline


class Judged(NamedTuple):
    good: bool


class Served(NamedTuple):
    version: str


@component(reads=[Asset("{source}")])
def read(source: str, data: Output[Dataset]):
    """Read a table.

    Args:
        source: where it is.
        data: the table.
    """
    from pathlib import Path

    Path(data.path).write_text("line\n" * 3)
    data.metadata.update(source=source, rows=3, revision="c0ffee", schema={"long": "x" * 2000})


@component(publishes={"model": Asset("models/{name}")})
def fit(data: Input[Dataset], model: Output[Model], name: str):
    """Fit a model.

    Args:
        data: the table.
        model: what was fitted.
        name: of the model.
    """
    from pathlib import Path

    Path(model.path).write_text("model")
    model.metadata["estimator"] = "mean"


@component
def judge(model: Input[Model], metrics: Output[Metrics]) -> Judged:
    """Judge a model.

    Args:
        model: the model.
        metrics: how good it is.
    """
    metrics.log_metric("accuracy", 0.75)
    return Judged(True)


@component(cache=False, publishes={"version": Asset("models/{name}@champion")})
def serve(model: Input[Model], name: str) -> Served:
    """Put a model into service, but that of nobody.

    Args:
        model: the model.
        name: of the model.
    """
    return Served("" if name == "nobody" else "7")


@pipeline
def lineage(source: str = "tables/a.csv", name: str = "m"):
    """From a table to a model in service.

    Args:
        source: where the table is.
        name: of the model.
    """
    table = read(source=source)
    fitted = fit(data=table.outputs["data"], name=name)
    judged = judge(model=fitted.outputs["model"])
    with dsl.If(judged.outputs["good"] == True, name="good"):  # noqa: E712 - KFP reads the comparison
        serve(model=fitted.outputs["model"], name=name)
