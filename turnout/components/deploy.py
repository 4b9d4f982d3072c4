"""Put a registered model into service."""

from typing import Annotated, Literal, NamedTuple

from annotated_types import Ge

from turnout import Dataset, Input, component


class Deployed(NamedTuple):
    """The version in service, and the one before it (empty when there was none)."""

    version: str
    previous: str


@component
def deploy(
    sample: Input[Dataset],
    registered_model: str,
    version: str,
    platform: Literal["registry"] = "registry",
    rows: Annotated[int, Ge(1)] = 50,
) -> Deployed:
    """Try a model version on sample rows, then make it the champion.

    The alias `champion` is what readers of the registry use; the one before keeps the alias
    `previous_champion`, the way back.

    Args:
        sample: rows to try the model on; columns that it does not take are left out.
        registered_model: name in the MLflow registry.
        version: the version to put into service.
        platform: where it is served: `registry` moves the alias only.
        rows: how many rows to try.
    """
    import mlflow
    import numpy as np
    import pandas as pd

    from turnout import ComponentError
    from turnout.data.tables import require
    from turnout.models.estimators import plain_types
    from turnout.models.registry import CHAMPION, PREVIOUS, version_by_alias

    where = f"models:/{registered_model}/{version}"
    try:
        model = mlflow.pyfunc.load_model(where)
    except Exception as error:
        raise ComponentError(f"the model cannot be loaded: {error}", where=where, hint="register it first") from error
    names = model.metadata.get_input_schema().input_names()
    table = pd.read_parquet(sample.path).head(rows)
    require(table, names, "sample")
    try:
        found = np.asarray(model.predict(plain_types(table[names])))
    except Exception as error:
        raise ComponentError(f"the model fails on sample rows: {error}", where=where) from error
    if len(found) != len(table) or pd.isna(found).any():
        raise ComponentError(
            f"{len(found)} predictions, {pd.isna(found).sum()} of them null, for {len(table)} rows", where=where
        )

    client = mlflow.MlflowClient()
    before = version_by_alias(registered_model, CHAMPION)
    if before is not None and str(before.version) != str(version):
        client.set_registered_model_alias(registered_model, PREVIOUS, before.version)
    client.set_registered_model_alias(registered_model, CHAMPION, version)
    last = version_by_alias(registered_model, PREVIOUS)
    previous = str(last.version) if last is not None else ""
    told = f", after version {previous}" if previous else ""
    print(f"{registered_model} version {version} is the champion{told}; it predicted {len(found)} sample rows")
    return Deployed(str(version), previous)
