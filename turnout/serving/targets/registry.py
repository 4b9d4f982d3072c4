"""The registry as a target: what is in service is the version with the alias `champion`. Nothing answers requests."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from typing import Any

from turnout.errors import ComponentError
from turnout.models import promotion
from turnout.models.registry import PREVIOUS, ModelVersion, alias_uri, find, look_up
from turnout.serving.release import Release, Served
from turnout.serving.rollout.labels import LabelSource
from turnout.serving.targets.manifests import Manifest
from turnout.serving.targets.target import KEPT, NO_CLUSTER, Status, Support, lowered, refused, require

_NO_TRAFFIC = "an alias has no traffic; serve the model with turnout serve, and take the target local"

SUPPORT: dict[str, Support] = {
    "deploy": KEPT,
    "percent": refused(_NO_TRAFFIC),
    "shadow": refused(_NO_TRAFFIC),
    "split": refused(_NO_TRAFFIC),
    "sticky": refused(_NO_TRAFFIC),
    "fallback": refused(_NO_TRAFFIC),
    "status": lowered("the versions with the aliases champion and previous_champion"),
    "manifests": refused(NO_CLUSTER),
    "observed": refused("look at what reads the alias, or serve the model with the target local"),
    "roll_back": KEPT,
    "remove": lowered("the version loses the alias previous_champion; that of the champion is moved, never removed"),
}


class RegistryTarget:
    """Readers of the registry, such as batch inference, use the version with the alias."""

    name = "registry"
    support: Mapping[str, Support] = SUPPORT

    def deploy(
        self, model: str, version: str, percent: float = 100.0, shadow: bool = False, *, who: str = "", why: str = ""
    ) -> None:
        if shadow:
            require(self, "shadow", model)
        if percent != 100:
            require(self, "percent", model)
        promotion.promote(look_up(f"models:/{model}/{version}"))
        promotion.note(ModelVersion(model, version, ""), "promoted", who, why)

    def split(self, model: str, percents: Mapping[str, float], *, who: str = "", why: str = "") -> None:
        if len(percents) != 1:
            require(self, "split", model)
        ((version, percent),) = percents.items()
        self.deploy(model, version, percent, who=who, why=why)

    def keep_users(self, model: str, header: str, *, who: str = "", why: str = "") -> None:
        require(self, "sticky", model)

    def status(self, model: str) -> Status:
        champion, before = promotion.champion(model), find(alias_uri(model, PREVIOUS))
        versions = (Served(champion.version, 100.0),) if champion else ()
        problems = () if champion else (f"no version of {model} has the alias champion",)
        return Status(model, versions, champion is not None, before.version if before else "", problems)

    def observed(self, model: str, since: datetime.datetime, labels: LabelSource | None = None) -> Sequence[Any]:
        require(self, "observed", model)
        return ()

    def manifests(self, release: Release) -> list[Manifest]:
        require(self, "manifests", release.model)
        return []

    def roll_back(self, model: str, *, who: str = "", why: str = "") -> str:
        return promotion.roll_back(model, who, why).version

    def remove(self, model: str, version: str, *, who: str = "", why: str = "") -> None:
        champion, before = promotion.champion(model), find(alias_uri(model, PREVIOUS))
        if champion and champion.version == version:
            raise ComponentError(f"version {version} is the champion", where=model,
                                 hint="promote another version first, or roll back")  # fmt: skip
        if before is None or before.version != version:
            raise ComponentError(f"version {version} has no alias of ours", where=model,
                                 hint="look: turnout serve status")  # fmt: skip
        promotion.forget_previous(model)
        promotion.note(before, "removed", who, why)
