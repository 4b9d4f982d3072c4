"""Put a registered model into service."""

from typing import Annotated, Literal, NamedTuple

from annotated_types import Ge

from turnout import Asset, Dataset, Input, component


class Deployed(NamedTuple):
    """The version in service, and the one before it (empty when there was none)."""

    version: str
    previous: str


@component(cache=False, publishes={"version": Asset("models:/{registered_model}@champion")})
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
    import tempfile

    from turnout.models.compiled.keeping import fetch
    from turnout.models.compiled.opening import open_scorer
    from turnout.models.promotion import promote
    from turnout.models.registry import ModelVersion
    from turnout.models.scorer import try_out

    candidate = ModelVersion(registered_model, str(version), "")
    with tempfile.TemporaryDirectory() as directory:
        tried = try_out(open_scorer(fetch(candidate, directory)), sample.path, rows, candidate.uri)
    before = promote(candidate)
    previous = before.version if before else ""
    after = f", after version {previous}" if previous else ""
    print(f"{registered_model} version {version} is the champion{after}; it predicted {tried} sample rows")
    return Deployed(candidate.version, previous)
