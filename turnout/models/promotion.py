"""Which version of a model is in service: the alias `champion`, and `previous_champion`, the way back."""

from __future__ import annotations

from turnout.models.registry import CHAMPION, PREVIOUS, ModelVersion, alias_uri, find


def champion(name: str) -> ModelVersion | None:
    """The version of a registered model that is in service; None when there is none."""
    return find(alias_uri(name, CHAMPION))


def promote(version: ModelVersion) -> ModelVersion | None:
    """Make a version the champion; the one before it, None when there was none.

    To promote the champion again changes nothing, so that a step that is tried again keeps the way back.
    """
    import mlflow

    client, before = mlflow.MlflowClient(), champion(version.name)
    if before is not None and before.version != version.version:
        client.set_registered_model_alias(version.name, PREVIOUS, before.version)
    client.set_registered_model_alias(version.name, CHAMPION, version.version)
    return find(alias_uri(version.name, PREVIOUS))
