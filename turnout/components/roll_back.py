"""Take a version out of service."""

from typing import NamedTuple

from turnout import component


class RolledBack(NamedTuple):
    """The version that answers now."""

    version: str


@component(cache=False)
def roll_back(registered_model: str, version: str, why: str, target: str = "local", fail: bool = False) -> RolledBack:
    """Take a version out, whatever part of the traffic it has: the version before it answers all requests.

    It needs nothing but the target and the registry. Done again, it does nothing more.

    Args:
        registered_model: name in the MLflow registry.
        version: to take out; where it is not served, nothing is done.
        why: for the target's history.
        target: where it is served: `registry`, `local`, `local:DIRECTORY`, `kubernetes:FILE`, `kserve:FILE`.
        fail: end as failed when the traffic is back, so that the run is seen to have failed.
    """
    from turnout import ComponentError
    from turnout.serving.rollout import steps
    from turnout.serving.rollout.notes import note
    from turnout.serving.targets.chosen import target_of

    now = steps.roll_back(target_of(target), registered_model, str(version), why)
    note(registered_model, str(version), "taken_out", why)
    print(f"{registered_model} version {version} is out of service; version {now} answers")
    if fail:
        what = f"version {version} was taken out: {why}"
        raise ComponentError(what, where=registered_model, hint="the report of judge_canary says what was seen of it")
    return RolledBack(now)
