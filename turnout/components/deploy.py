"""Put a registered model into service, or a part of the traffic to it."""

from typing import Annotated, Literal, NamedTuple, Optional

from annotated_types import Ge, Le

from turnout import Asset, Dataset, Input, component


class Deployed(NamedTuple):
    """The version that was deployed, and the one in service before (empty when there was none).

    `champion` is the version too when it is the registry's champion now, which readers of the registry use; else empty.
    """

    version: str
    previous: str
    champion: str


@component(cache=False, publishes={"champion": Asset("models:/{registered_model}@{alias}")})
def deploy(
    registered_model: str,
    version: str,
    sample: Optional[Input[Dataset]] = None,  # noqa: UP045 - KFP reads this spelling
    target: str = "registry",
    percent: Annotated[float, Ge(0), Le(100)] = 100.0,
    shadow: bool = False,
    rows: Annotated[int, Ge(1)] = 50,
    wait_seconds: Annotated[float, Ge(0)] = 300.0,
    alias: Literal["champion", ""] = "champion",
    why: str = "",
) -> Deployed:
    """Try a model version on sample rows, then put it into service: for all requests, or a part of them.

    All requests also make it the champion: the alias `champion` is what readers of the registry use; the one before
    keeps the alias `previous_champion`, the way back. With a part of them, or copies, the champion stays.

    Args:
        registered_model: name in the MLflow registry.
        version: the version to put into service.
        sample: rows to try the model on; columns that it does not take are left out. Without them it is not tried.
        target: where it is served: `registry`, `local`, `local:DIRECTORY`, `kubernetes:FILE`, `kserve:FILE`.
        percent: of the requests, and the version in service has the others; a version that has more already keeps it.
            Of a shadow, of which it gets copies. With 0 it is loaded, and gets nothing.
        shadow: whether the version gets copies of requests, and its answers are thrown away.
        rows: how many rows to try.
        wait_seconds: how long the target may take until the version answers.
        alias: of the registry, which a version that gets all requests has then, and whose readers are told, on Airflow
            by an asset; empty to leave it alone.
        why: for the target's history.
    """
    import tempfile

    from turnout.models.compiled.keeping import fetch
    from turnout.models.compiled.opening import open_scorer
    from turnout.models.promotion import champion
    from turnout.models.registry import ModelVersion
    from turnout.models.scorer import try_out
    from turnout.serving.rollout.steps import promote, put
    from turnout.serving.targets.chosen import target_of

    candidate, place = ModelVersion(registered_model, str(version), ""), target_of(target)
    tried = ""
    if sample is not None:
        with tempfile.TemporaryDirectory() as directory:
            count = try_out(open_scorer(fetch(candidate, directory)), sample.path, rows, candidate.uri)
        tried = f"; it predicted {count} sample rows"
    shadow = shadow and percent > 0
    if alias and percent == 100 and not shadow:
        previous = promote(place, registered_model, candidate.version, why, wait_seconds)
    else:
        previous = put(place, registered_model, candidate.version, percent, shadow, why, wait_seconds)
    if target == "registry":
        after = f", after version {previous}" if previous else ""
        print(f"{registered_model} version {version} is the champion{after}{tried}")
    else:
        part = f"copies of {percent:g} %" if shadow else f"{percent:g} %"
        print(f"{registered_model} version {version} gets {part} of the requests of {target}{tried}")
    now = champion(registered_model)
    return Deployed(candidate.version, previous, candidate.version if now and now.version == candidate.version else "")
