"""End a release: a version for all requests."""

from typing import Annotated, NamedTuple

from annotated_types import Ge

from turnout import Asset, component


class Promoted(NamedTuple):
    """The version in service, and the one before it (empty when there was none)."""

    version: str
    previous: str


@component(cache=False, publishes={"version": Asset("models:/{registered_model}@champion")})
def promote(
    registered_model: str,
    version: str,
    target: str = "local",
    wait_seconds: Annotated[float, Ge(0)] = 300.0,
    why: str = "",
) -> Promoted:
    """Give a version all requests, and the alias `champion`; the one before keeps `previous_champion`, the way back.

    Args:
        registered_model: name in the MLflow registry.
        version: that was judged.
        target: where it is served: `registry`, `local`, `local:DIRECTORY`, `kubernetes:FILE`, `kserve:FILE`.
        wait_seconds: how long the target may take until the version answers all requests.
        why: for the target's history.
    """
    from turnout.serving.rollout import steps
    from turnout.serving.targets.chosen import target_of

    before = steps.promote(target_of(target), registered_model, str(version), why or "promoted", wait_seconds)
    print(
        f"{registered_model} version {version} answers all requests" + (f", after version {before}" if before else "")
    )
    return Promoted(str(version), before)
