"""Steps that the pipelines which train have in common: before the training, and after it.

They are called inside a pipeline's function, and become steps of that pipeline. Everything is given by name and nothing
has a default, so that none of these pipelines can forget a parameter that the others have.
"""

from typing import Any

from kfp import dsl

from turnout.components.deploy import deploy
from turnout.components.evaluate import evaluate
from turnout.components.featurise import featurise
from turnout.components.ingest import ingest
from turnout.components.register import register
from turnout.components.require_target import require_target
from turnout.components.split import split
from turnout.components.validate import validate


def rows_to_learn(
    *,
    source: Any,
    revision: Any,
    timestamps: Any,
    separator: Any,
    decimal: Any,
    encoding: Any,
    suite: Any,
    feature_service: Any,
    feature_repository: Any,
    feature_sources: Any,
    timestamp: Any,
    keys: Any,
    test_fraction: Any,
    gap_hours: Any,
    target: Any,
    drop_null_target: Any,
    seed: Any,
    registered_model: Any,
    deploy_target: Any,
    deploy_percent: Any,
    deploy_shadow: Any,
) -> Any:
    """Read a table, validate it, join features, and split it: the task whose outputs are `train` and `test`."""
    ingested = ingest(
        source=source,
        revision=revision,
        timestamps=timestamps,
        separator=separator,
        decimal=decimal,
        encoding=encoding,
    )
    # Told now, and not when the model is trained.
    required = require_target(
        registered_model=registered_model, target=deploy_target, percent=deploy_percent, shadow=deploy_shadow
    )
    validated = validate(data=ingested.outputs["data"], suite=suite).after(required)
    featurised = featurise(
        entities=ingested.outputs["data"],
        feature_service=feature_service,
        repository=feature_repository,
        sources=feature_sources,
        revision=revision,
    ).after(validated)
    return split(
        data=featurised.outputs["features"],
        timestamp=timestamp,
        test_fraction=test_fraction,
        gap_hours=gap_hours,
        keys=keys,
        target=target,
        drop_null_target=drop_null_target,
        seed=seed,
    )


def judge_and_deploy(
    *,
    model: Any,
    test: Any,
    metric: Any,
    minimum_improvement: Any,
    slices: Any,
    minimum_rows: Any,
    require_champion: Any,
    registered_model: Any,
    precision: Any,
    maximum_loss: Any,
    deploy_target: Any,
    deploy_percent: Any,
    deploy_shadow: Any,
) -> None:
    """Judge a model beside the champion, and if it is better register it and put it into service.

    Args:
        model: the trained model, an output.
        test: rows that it has not learned, an output.
    """
    evaluated = evaluate(
        model=model,
        data=test,
        registered_model=registered_model,
        metric=metric,
        minimum_improvement=minimum_improvement,
        slices=slices,
        minimum_rows=minimum_rows,
        require_champion=require_champion,
    )
    with dsl.If(evaluated.outputs["promote"] == True, name="promote"):  # noqa: E712 - KFP reads the comparison
        registered = register(
            model=model, registered_model=registered_model, precision=precision, maximum_loss=maximum_loss
        )
        deploy(
            sample=test,
            registered_model=registered_model,
            version=registered.outputs["version"],
            target=deploy_target,
            percent=deploy_percent,
            shadow=deploy_shadow,
            why="trained",
        )
