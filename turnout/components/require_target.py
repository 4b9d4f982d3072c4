"""Fail where a model could not be put into service."""

from typing import Annotated

from annotated_types import Ge, Le

from turnout import component


@component(cache=False)
def require_target(
    registered_model: str,
    target: str = "registry",
    percent: Annotated[float, Ge(0), Le(100)] = 100.0,
    shadow: bool = False,
) -> None:
    """Fail when a target could not take a version as `deploy` would give it, before anybody trains one for hours.

    There must be such a target, with settings that can be read; it must know parts of the traffic, or copies, where
    they are asked for; and what serves the model must run.

    Args:
        registered_model: name in the MLflow registry.
        target: where a version would be served: `registry`, `local`, `local:DIRECTORY`, `kubernetes:FILE`,
            `kserve:FILE`.
        percent: of the requests that it would get; of a shadow, of which it would get copies.
        shadow: whether it would get copies of requests.
    """
    from turnout.serving.rollout.steps import require_deployable
    from turnout.serving.targets.chosen import target_of

    print(require_deployable(target_of(target), registered_model, percent, shadow and percent > 0))
