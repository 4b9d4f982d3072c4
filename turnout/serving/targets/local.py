"""This machine as a target: the server of `turnout serve`, told by the state in its directory.

What is asked for is written there, whether the server runs or not; it makes it true as soon as it can. When it follows
an alias of the registry, a version that gets all of the traffic gets the alias too, so that batch inference and the
server agree.
"""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from turnout.models import promotion
from turnout.models.registry import CHAMPION, ModelVersion, alias_uri, find, look_up
from turnout.serving.directory import Directory
from turnout.serving.observed import Observer, logged
from turnout.serving.release import Release, deployed, existing, previous, rolled_back, with_split, without
from turnout.serving.rollout.labels import LabelSource
from turnout.serving.state import ROOT, State
from turnout.serving.targets.manifests import Manifest
from turnout.serving.targets.target import KEPT, NO_CLUSTER, Status, Support, lowered, refused, require

SUPPORT: dict[str, Support] = {
    "deploy": KEPT,
    "percent": KEPT,
    "shadow": KEPT,
    "split": KEPT,
    "sticky": lowered("by the hash of a header; a request without it goes to a version by chance"),
    "fallback": KEPT,
    "manifests": refused(NO_CLUSTER),
    "status": KEPT,
    "observed": KEPT,
    "roll_back": KEPT,
    "remove": KEPT,
}


class LocalTarget:
    """The server of this machine.

    Args:
        root: the directory with a serving directory for each model.
        directory: the serving directory of the one model that is asked for, when it is elsewhere.
    """

    name = "local"
    support: Mapping[str, Support] = SUPPORT

    def __init__(self, root: str | Path = ROOT, directory: str | Path = ""):
        self._root, self._directory = Path(root), Path(directory) if directory else None
        self._observers: dict[str, Observer] = {}

    def deploy(
        self, model: str, version: str, percent: float = 100.0, shadow: bool = False, *, who: str = "", why: str = ""
    ) -> None:
        look_up(f"models:/{model}/{version}")
        action = "shadow" if shadow else "promote" if percent == 100 else "split"
        self._state(model).change(
            lambda before: _aliased(deployed(before, model, version, percent, shadow)), why, who, action,
            self._move_alias,
        )  # fmt: skip

    def split(self, model: str, percents: Mapping[str, float], *, who: str = "", why: str = "") -> None:
        for version in percents:
            look_up(f"models:/{model}/{version}")
        self._state(model).change(
            lambda before: _aliased(with_split(existing(before, model), percents)), why, who, "split",
            self._move_alias,
        )  # fmt: skip

    def keep_users(self, model: str, header: str, *, who: str = "", why: str = "") -> None:
        self._state(model).change(
            lambda before: dataclasses.replace(existing(before, model), sticky=header.lower()), why, who, "sticky"
        )

    def status(self, model: str) -> Status:
        state = self._state(model)
        release, directory = state.require(), Directory(state.directory.absolute())
        before = previous(release, [item for _, item in state.history()])
        if not directory.is_served():
            problem = f"no server runs for {directory.path}; start it: turnout serve {model}"
            return Status(model, release.versions, False, before, (problem,), {"release": dataclasses.asdict(release)})
        told = directory.read_status()
        problems = [str(problem) for problem in told.get("problems", ())]
        ready = bool(told.get("ready")) and told.get("generation") == release.generation
        if not ready and not problems:
            problems = ["what was asked for last is not in force yet"]
        details = {**told, "release": dataclasses.asdict(release)}
        return Status(model, release.versions, ready, before, tuple(problems), details)

    def manifests(self, release: Release) -> list[Manifest]:
        require(self, "manifests", release.model)
        return []

    def observed(self, model: str, since: datetime.datetime, labels: LabelSource | None = None) -> Sequence[Any]:
        state = self._state(model)
        release = state.require()
        known = self._observers.get(model)
        if known is None or (known.since, known.labels) != (since, labels):
            known = self._observers[model] = Observer(Directory(state.directory.absolute()), since, labels)
        return known.windows(release)

    def logged(self, model: str, version: str, since: datetime.datetime) -> pa.Table:
        """The requests that the log keeps of a version, with its predictions."""
        return logged(Directory(self._state(model).directory.absolute()), version, since)

    def roll_back(self, model: str, *, who: str = "", why: str = "") -> str:
        state = self._state(model)

        def back(before: Release | None) -> Release:
            return _aliased(rolled_back(existing(before, model), [item for _, item in state.history()]))

        def alias_back(made: Release) -> None:
            version = made.stable.version
            if made.alias and (now := find(alias_uri(model, made.alias))) is not None and now.version != version:
                _set_alias(made, version)
                promotion.note(now, "rolled_back", made.changed_by, why)

        return state.change(back, why, who, "rollback", alias_back).stable.version

    def remove(self, model: str, version: str, *, who: str = "", why: str = "") -> None:
        self._state(model).change(lambda before: without(existing(before, model), version), why, who, "remove")

    def _state(self, model: str) -> State:
        return State(self._directory or self._root / model)

    def _move_alias(self, release: Release) -> None:
        """Give the alias that the server follows to the version that has all of the traffic now."""
        if not release.alias or len(release.routed) != 1:
            return
        version = ModelVersion(release.model, release.stable.version, "")
        now = find(alias_uri(release.model, release.alias))
        if now is not None and now.version == version.version:
            return
        if release.alias == CHAMPION:
            promotion.promote(version)
        else:
            _set_alias(release, version.version)
        promotion.note(version, "promoted", release.changed_by, release.reason)


def _aliased(release: Release) -> Release:
    """Who follows the alias shall not take what we do with it for news."""
    return dataclasses.replace(release, alias_version=release.stable.version if release.alias else "")


def _set_alias(release: Release, version: str) -> None:
    import mlflow

    mlflow.MlflowClient().set_registered_model_alias(release.model, release.alias, version)
