"""A target: where versions of a model are put to answer requests. The registry alone, this machine, a cluster."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from turnout.errors import ComponentError, did_you_mean
from turnout.serving.release import Release, Served
from turnout.serving.rollout.labels import LabelSource
from turnout.serving.targets.manifests import Manifest

Verdict = Literal["kept", "lowered", "refused"]


@dataclass(frozen=True)
class Support:
    """What a target makes of a thing that it can be asked for, and (unless it is simply kept) how, or what to do."""

    verdict: Verdict
    how: str = ""


KEPT = Support("kept")
NO_CLUSTER = "there is no cluster to tell; take the target kubernetes or kserve"
"""Why a target has no manifests."""


def lowered(how: str) -> Support:
    """The same outcome by other means."""
    return Support("lowered", how)


def refused(how: str) -> Support:
    """An error that says what to do."""
    return Support("refused", how)


FACTS: dict[str, str] = {
    "deploy": "put a version into service, at 100 percent",
    "percent": "give a version a part of the traffic",
    "shadow": "send copies of requests to a version, and throw its answers away",
    "split": "give several versions parts of the traffic",
    "sticky": "keep the version of a user",
    "fallback": "answer with another version, or a constant, when one fails or is too slow",
    "manifests": "write what it would be told, for a repository from which something else applies it",
    "status": "say what is served, and how it is",
    "observed": "say what users saw: requests, errors, latencies, predictions",
    "roll_back": "put the version before back into service",
    "remove": "take a version out",
}
"""What a target can be asked for, in words. Each target's table has all of them."""


@dataclass(frozen=True)
class Status:
    """What is served of a model.

    Attributes:
        versions: with the traffic that each shall have; the first is the one in service.
        ready: whether all that shall be served is, as it shall.
        previous: the version that a rollback goes back to; empty when there is none.
        came_from: the version that the one in service has replaced, when that was a way back, and when; else empty.
        problems: what stands in the way, in sentences.
        details: what else the target knows, in JSON's types.
    """

    model: str
    versions: tuple[Served, ...]
    ready: bool
    previous: str = ""
    problems: tuple[str, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)
    came_from: tuple[str, str] = ("", "")


class Target(Protocol):
    """What each target does. All raise ComponentError for what it refuses, or cannot do now.

    `who` and `why` are kept in the target's history; an empty `who` is the user of the process.
    """

    @property
    def name(self) -> str: ...

    @property
    def support(self) -> Mapping[str, Support]:
        """What becomes of each of `FACTS`."""

    def deploy(
        self, model: str, version: str, percent: float = 100.0, shadow: bool = False, *, who: str = "", why: str = ""
    ) -> None:
        """Serve a version with a part of the traffic, or as a shadow; at 100 percent it becomes the one in service."""

    def split(self, model: str, percents: Mapping[str, float], *, who: str = "", why: str = "") -> None:
        """Serve exactly these versions, each with its part of the traffic."""

    def keep_users(self, model: str, header: str, *, who: str = "", why: str = "") -> None:
        """Choose each request's version by the hash of a header, so that a user keeps it; empty for chance."""

    def manifests(self, release: Release) -> list[Manifest]:
        """All that a cluster would be told of a release."""

    def status(self, model: str) -> Status:
        """What is served now."""

    def observed(self, model: str, since: datetime.datetime, labels: LabelSource | None = None) -> Sequence[Any]:
        """What users saw, in windows in which no version's part of the traffic changed; with what labels say of it."""

    def roll_back(self, model: str, *, who: str = "", why: str = "") -> str:
        """Put the version before back into service, for all requests; which one it is."""

    def remove(self, model: str, version: str, *, who: str = "", why: str = "") -> None:
        """Take a version out; the one in service gets its part."""


def require(target: Target, fact: str, where: str) -> None:
    """Raise ComponentError when a target refuses a thing."""
    support = target.support[fact]
    if support.verdict == "refused":
        what = f"the target {target.name} does not {FACTS[fact]}"
        raise ComponentError(what, where=where, hint=support.how)


def unknown(name: str, known: Sequence[str]) -> ComponentError:
    """The error for a target that there is not."""
    hint = did_you_mean(name, known) or "take one of these"
    return ComponentError(f"no such target: {name}", available=known, hint=hint)
