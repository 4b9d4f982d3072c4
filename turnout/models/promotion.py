"""Which version of a model is in service: the alias `champion`, and `previous_champion`, the way back."""

from __future__ import annotations

import datetime

from turnout.errors import ComponentError
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


def roll_back(name: str, who: str = "", why: str = "") -> ModelVersion:
    """Make the version before the champion again, and note on the one that was taken out who did it and why.

    Afterwards there is no version before: a second rollback would bring back what the first took out.

    Raises:
        ComponentError: there is no champion, or none before it.
    """
    bad, before = champion(name), find(alias_uri(name, PREVIOUS))
    if bad is None or before is None:
        what = "there is no version before to go back to" if bad else "no version has the alias champion"
        raise ComponentError(what, where=f"models:/{name}", hint="put a version into service: turnout serve promote")
    put_back(bad, before, who, why)
    return before


def put_back(bad: ModelVersion, before: ModelVersion, who: str = "", why: str = "") -> None:
    """Make a version the champion instead of the one that is now, which is noted on that one."""
    import mlflow

    mlflow.MlflowClient().set_registered_model_alias(bad.name, CHAMPION, before.version)
    forget_previous(bad.name)
    note(bad, "rolled_back", who, why)


def forget_previous(name: str) -> None:
    """Take the alias `previous_champion` away."""
    import mlflow

    mlflow.MlflowClient().delete_registered_model_alias(name, PREVIOUS)


def noted_at(version: ModelVersion, action: str) -> datetime.datetime | None:
    """When an action was noted on a version last; None when it never was."""
    import mlflow

    tags = mlflow.MlflowClient().get_model_version(version.name, version.version).tags
    said = tags.get(f"turnout.{action}_at")
    return datetime.datetime.fromisoformat(said) if said else None


def note(version: ModelVersion, action: str, who: str, why: str) -> None:
    """Note on a version in the registry what was done with it: the tags `turnout.ACTION_at`, `_by` and `_because`."""
    import mlflow

    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    client = mlflow.MlflowClient()
    for key, value in (("at", now), ("by", who), ("because", why)):
        if value:
            client.set_model_version_tag(version.name, version.version, f"turnout.{action}_{key}", value)
