"""What shall be served of a model: its versions, each with a part of the traffic, and what a change makes of them."""

from __future__ import annotations

import dataclasses
import datetime
import getpass
import json
import math
import os
import re
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import cattrs

from turnout.errors import ComponentError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_HEADER = re.compile(r"[a-z0-9][a-z0-9_-]*")
_CONVERTER = cattrs.Converter(forbid_extra_keys=True)
_TOLERANCE = 1e-6


@dataclass(frozen=True)
class Served:
    """A version that is loaded, and how much of the traffic it has.

    Attributes:
        version: of the registered model.
        percent: of the requests, 0 to 100. A shadow gets copies of that many; its answers are thrown away.
    """

    version: str
    percent: float
    shadow: bool = False


@dataclass(frozen=True)
class Release:
    """What shall be served of a model.

    Attributes:
        versions: the first is the one in service, to which a rollback goes; then those that are tried out.
        fallback: the version that answers when one fails or is too slow, or a constant: predictions by name, as JSON,
            such as `{"prediction": 0}`; empty for none.
        sticky: the header by whose hash a request's version is chosen, so that a user keeps it; empty for chance.
        alias: the registry's alias that is followed when it moves; empty for none.
        alias_version: the version that the alias had when it was last looked at.
        generation: a number that grows with each change.
        changed_at: ISO 8601, in UTC.
    """

    model: str
    versions: tuple[Served, ...]
    fallback: str = ""
    sticky: str = ""
    alias: str = ""
    alias_version: str = ""
    generation: int = 0
    changed_at: str = ""
    changed_by: str = ""
    reason: str = ""

    @property
    def stable(self) -> Served:
        """The version in service."""
        return next(served for served in self.versions if not served.shadow)

    @property
    def routed(self) -> tuple[Served, ...]:
        """The versions whose answers are used."""
        return tuple(served for served in self.versions if not served.shadow)

    @property
    def shadows(self) -> tuple[Served, ...]:
        return tuple(served for served in self.versions if served.shadow)

    def percent_of(self, version: str) -> float:
        """How much of the traffic a version has; 0 when it is a shadow, or not served."""
        return next((served.percent for served in self.routed if served.version == version), 0.0)


def only(release: Release, version: str) -> Release:
    """The release with one version for all requests, and nothing beside it."""
    return dataclasses.replace(release, versions=(Served(version, 100.0),))


def existing(release: Release | None, model: str) -> Release:
    """The release that there is. Raises ComponentError when nothing of the model is served."""
    if release is None:
        hint = "start it: turnout serve MODEL@champion; on a cluster: turnout serve promote VERSION"
        raise ComponentError("nothing of this model is served", where=model, hint=hint)
    return release


def deployed(before: Release | None, model: str, version: str, percent: float, shadow: bool = False) -> Release:
    """The release with a version at a percentage; the first of a model has all of the traffic."""
    if before is not None:
        return with_version(before, version, percent, shadow)
    if shadow or percent != 100:
        raise ComponentError(f"nothing is in service yet beside which version {version} could be tried", where=model,
                             hint="deploy a version at 100 percent first")  # fmt: skip
    return Release(model, (Served(version, 100.0),))


def with_version(release: Release, version: str, percent: float, shadow: bool = False) -> Release:
    """The release with a version at a percentage; the version in service has what is left.

    Another version that is tried out keeps its part. All of the traffic for a version makes it the one in service.
    """
    others = tuple(served for served in release.versions if served.version != version)
    if shadow:
        if version == release.stable.version:
            raise ComponentError(
                f"version {version} is the one in service, and cannot be a shadow of itself", where=release.model,
                hint="put another version into service first: turnout serve promote",
            )  # fmt: skip
        stable = dataclasses.replace(release.stable, percent=release.stable.percent + release.percent_of(version))
        others = tuple(stable if other == release.stable else other for other in others)
        return dataclasses.replace(release, versions=(*others, Served(version, percent, True)))
    if percent == 100:
        return dataclasses.replace(release, versions=(Served(version, 100.0), *(o for o in others if o.shadow)))
    if version == release.stable.version:
        raise ComponentError(
            f"version {version} is the one in service: it has what others leave", where=release.model,
            hint="say the part of the other version, or of all of them with turnout serve split",
        )  # fmt: skip
    left = 100.0 - percent - sum(o.percent for o in others if not o.shadow and o.version != release.stable.version)
    changed = tuple(
        dataclasses.replace(other, percent=left) if other.version == release.stable.version else other
        for other in others
    )
    return dataclasses.replace(release, versions=(*changed, Served(version, percent)))


def with_split(release: Release, percents: Mapping[str, float]) -> Release:
    """The release with these versions and percentages; shadows are kept. The order is the one before, then new ones."""
    order = [served.version for served in release.routed if served.version in percents]
    order += [version for version in percents if version not in order]
    routed = tuple(Served(version, float(percents[version])) for version in order)
    shadows = tuple(served for served in release.shadows if served.version not in percents)
    return dataclasses.replace(release, versions=routed + shadows)


def without(release: Release, version: str) -> Release:
    """The release without a version; the one in service gets its part. Raises ComponentError for that one itself."""
    gone = next((served for served in release.versions if served.version == version), None)
    if gone is None:
        raise ComponentError(
            f"version {version} is not served", where=release.model,
            available=[served.version for served in release.versions], hint="look: turnout serve status",
        )  # fmt: skip
    if gone == release.stable:
        raise ComponentError(
            f"version {version} is the one in service", where=release.model,
            hint="put another version into service first: turnout serve promote, or rollback",
        )  # fmt: skip
    left = tuple(served for served in release.versions if served.version != version)
    stable = release.stable if gone.shadow else dataclasses.replace(
        release.stable, percent=release.stable.percent + gone.percent
    )  # fmt: skip
    return dataclasses.replace(release, versions=tuple(stable if s == release.stable else s for s in left))


def rolled_back(release: Release, history: Iterable[Release]) -> Release:
    """What a rollback makes of a release: the version before, for all requests, and nothing beside it.

    While others are tried out beside the version in service, that one is the version before; else the one that was in
    service before it.

    Args:
        history: what was in force, from the oldest on.

    Raises:
        ComponentError: there was none before.
    """
    if len(release.versions) > 1:
        return only(release, release.stable.version)
    # Versions that went back, one from the other, are not the way forward: 1, 2, back to 1 has nothing before.
    passed: list[str] = []
    for version in (item.stable.version for item in history):
        if version in passed:
            del passed[passed.index(version) :]
        passed.append(version)
    if len(passed) < 2:
        raise ComponentError(f"nothing was in service before version {release.stable.version}", where=release.model,
                             hint="put a version into service: turnout serve promote")  # fmt: skip
    return only(release, passed[-2])


def previous(release: Release, history: Iterable[Release]) -> str:
    """The version to which a rollback goes; empty when there was none before."""
    try:
        return rolled_back(release, history).stable.version
    except ComponentError:
        return ""


def came_from(history: Iterable[Release]) -> tuple[str, str]:
    """The version that the one in service has replaced, when that was a way back, and when; else both are empty.

    Args:
        history: what was in force, from the oldest on.
    """
    changes: list[Release] = []
    for item in history:
        if not changes or changes[-1].stable.version != item.stable.version:
            changes.append(item)
    stables = [item.stable.version for item in changes]
    if len(changes) < 3 or stables[-1] not in stables[:-2]:
        return "", ""
    return stables[-2], changes[-1].changed_at


def check(release: Release) -> None:
    """Raises ComponentError when a release is none: percentages that are not 100 together, a version twice, ..."""

    def refuse(what: str, hint: str) -> None:
        raise ComponentError(what, where=release.model or "the release", hint=hint)

    if not _NAME.fullmatch(release.model):
        refuse(
            f"not a name that can be served: {release.model!r}", "letters, digits, dots, _ and -; at most 64 of them"
        )
    names = [served.version for served in release.versions]
    for name in names:
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            refuse(f"not a version: {name!r}", "write its number, as the registry has it")
    if twice := sorted({name for name in names if names.count(name) > 1}):
        refuse(f"version {twice[0]} is there twice", "a version has one part of the traffic, or is a shadow")
    if not release.routed:
        refuse("no version is in service", "give one 100 percent")
    for served in release.versions:
        if not math.isfinite(served.percent) or not 0 <= served.percent <= 100:
            refuse(f"{served.percent:g} percent for version {served.version}", "write a number from 0 to 100")
        if served.shadow and not served.percent:
            refuse(f"version {served.version} is a shadow of nothing", "write how many percent of the requests it gets")
    total = sum(served.percent for served in release.routed)
    if abs(total - 100) > _TOLERANCE:
        parts = ", ".join(f"version {served.version}: {served.percent:g}" for served in release.routed)
        refuse(f"the percentages are {total:g} together ({parts})", "let them be 100 together")
    fallback_of(release)
    if release.sticky and not _HEADER.fullmatch(release.sticky):
        refuse(f"not the name of a header: {release.sticky!r}", "lower-case letters, digits and -; such as x-user-id")


def needed_by(release: Release) -> set[str]:
    """The versions whose files a release needs: those that it has, and the one that answers when another fails."""
    return {served.version for served in release.versions} | {fallback_of(release)[0]} - {""}


def fallback_of(release: Release) -> tuple[str, dict[str, Any]]:
    """The version to fall back to, and the constant; one of them is empty. Raises ComponentError when it is neither."""
    if not release.fallback.startswith("{"):
        if release.fallback and not _NAME.fullmatch(release.fallback):
            raise ComponentError(f"not a version to fall back to: {release.fallback!r}", where=release.model,
                                 hint='write a version, or a constant such as {"prediction": 0}')  # fmt: skip
        return release.fallback, {}
    try:
        found = json.loads(release.fallback)
    except (ValueError, RecursionError) as error:
        raise ComponentError(f"not a constant to fall back to: {error}", where=release.fallback[:80],
                             hint='write predictions by name, such as {"prediction": 0}') from error  # fmt: skip
    return "", dict(found)


def release_from(text: str, where: str) -> Release:
    """A release that was written as JSON. Raises ComponentError when the text is something else."""
    hint = "correct it, or delete it and start turnout serve again"
    try:
        release = _CONVERTER.structure(json.loads(text), Release)
    except (ValueError, cattrs.BaseValidationError, TypeError, LookupError, AttributeError, RecursionError) as error:
        reasons = cattrs.transform_error(error) if isinstance(error, cattrs.BaseValidationError) else [str(error)]
        raise ComponentError(f"not what shall be served: {reasons[0]}", where=where, hint=hint) from error
    check(release)
    return release


def next_release(before: Release | None, made: Release, who: str, reason: str) -> Release:
    """What follows a release: what was made of it, with when, who and why; the one before when both say the same.

    Args:
        who: empty for the user of this process.

    Raises:
        ComponentError: what was made is no release.
    """
    check(made)
    if before is not None:
        said = {name: getattr(before, name) for name in ("generation", "changed_at", "changed_by", "reason")}
        if dataclasses.replace(made, **said) == before:
            return before
    return dataclasses.replace(
        made,
        generation=(before.generation if before else 0) + 1,
        changed_at=datetime.datetime.now(datetime.UTC).isoformat(timespec="microseconds"),
        changed_by=who or whoever(),
        reason=reason,
    )


def whoever() -> str:
    """The user of this process, at which machine."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"
