"""The steps of a release, on any target; each can be done again after it was cut off at any point."""

from __future__ import annotations

import datetime
import os
import time
from dataclasses import dataclass
from typing import Literal

from turnout.errors import ComponentError
from turnout.models import promotion
from turnout.models.registry import PREVIOUS, alias_uri, find, look_up
from turnout.serving.rollout.notes import noted
from turnout.serving.targets.target import Status, Target, require

_LOOK_SECONDS = 0.25
_SUCCEEDED = ("SUCCEEDED", "COMPLETE", "CACHED", "SKIPPED")
"""States of steps with which nothing is wrong: KFP's own, and those of its metadata store."""
_FAILED = "a step failed; the run says which"
_NOT_TOLD = "a step failed, or was ended; KFP does not tell which: look at the run"


def served_by(target: Target, model: str) -> str:
    """The version in service; empty when there is none yet."""
    status = _status_or_none(target, model)
    return _in_service(status) if status else ""


def _in_service(status: Status) -> str:
    return next((served.version for served in status.versions if not served.shadow), "")


def require_release(target: Target, model: str) -> None:
    """Raise ComponentError when a target cannot take a release step by step; before anything is done."""
    for fact in ("percent", "observed", "roll_back"):
        require(target, fact, model)
    if not _status(target, model).versions:
        hint = "put one into service first: turnout serve promote VERSION --target ..."
        raise ComponentError("no version is in service, beside which another could be tried",
                             where=f"{target.name}: {model}", hint=hint)  # fmt: skip


def require_deployable(target: Target, model: str, percent: float, shadow: bool) -> str:
    """Raise ComponentError when a target could not take a version, or a part of the traffic; else what it serves."""
    for fact, asked in (("percent", percent < 100 and not shadow), ("shadow", shadow)):
        if asked:
            require(target, fact, model)
    if target.name == "registry":  # also the first version of a model has a place there
        return f"versions of {model} are put into service in the registry"
    status = _status(target, model)
    if target.name == "local" and "port" not in status.details:
        hint = f"start it: turnout serve {model}"
        raise ComponentError("no server runs that could take a version", where=f"local: {model}", hint=hint)
    if not status.versions and (shadow or percent < 100):
        hint = "put one into service first, with 100 percent"
        raise ComponentError("no version is in service, beside which another could be tried",
                             where=f"{target.name}: {model}", hint=hint)  # fmt: skip
    served = ", ".join(f"version {item.version} {item.percent:g} %" for item in status.versions)
    return "; ".join([f"{target.name} serves {served or f'nothing of {model} yet'}", *status.problems])


def _status(target: Target, model: str) -> Status:
    """What is served. Raises ComponentError with a hint for whoever wants to release when that cannot be known."""
    try:
        return target.status(model)
    except ComponentError as error:
        if target.name != "local":
            raise
        if "KUBERNETES_SERVICE_HOST" in os.environ:
            hint = "take the target kubernetes:FILE, or mount the serving directory into the pod: local:DIRECTORY"
            what = "nothing is served on this pod's disk, and the target local is the machine that a step runs on"
        else:
            hint = f"start it: turnout serve {model}; the first version of a model is trained with the target registry"
            what = str(error.faults[0].what)
        raise ComponentError(what, where=error.faults[0].where or model, hint=hint) from error


def wait_until_ready(target: Target, model: str, seconds: float) -> Status:
    """Wait until what was asked for is in force.

    Raises:
        ComponentError: it is not in time; what the target says stands in the way.
    """
    end = time.monotonic() + seconds
    while True:
        status = target.status(model)
        if status.ready:
            return status
        if time.monotonic() >= end:
            what = (
                f"what was asked for is not in force after {seconds:g} s: {'; '.join(status.problems) or 'not ready'}"
            )
            hint = "look at the server: turnout serve status; a longer wait_seconds, if it only starts slowly"
            raise ComponentError(what, where=f"{target.name}: {model}", hint=hint)
        time.sleep(_LOOK_SECONDS)


def give(target: Target, model: str, version: str, percent: float, shadow: bool, why: str) -> None:
    """Give a version a part of the traffic, or copies of it; one that has as much or more already keeps that.

    So a release that was held, or cut off, and is run again goes on where it was.
    """
    if shadow or percent < 100:
        try:
            served = {item.version: item for item in target.status(model).versions}.get(version)
        except ComponentError:  # nothing is served yet: the target says what to do
            served = None
        if served is not None and (served.percent if not served.shadow else 0.0) >= (0.0 if shadow else percent):
            return
    target.deploy(model, version, percent, shadow, why=why)


def put(target: Target, model: str, version: str, percent: float, shadow: bool, why: str, seconds: float) -> str:
    """Give a version its part, and wait until it has it; the version in service before, which is the way back."""
    before = served_by(target, model)
    give(target, model, version, percent, shadow, why)
    status = wait_until_ready(target, model, seconds)
    # A step that is tried again finds its version in service already.
    return before if before != version else status.previous


def promote(target: Target, model: str, version: str, why: str, seconds: float) -> str:
    """Put a version into service for all requests, and make it the champion of the registry; the one before.

    First the traffic, then the alias: a step that is cut off between the two and done again ends with both.
    """
    before = put(target, model, version, 100.0, False, why, seconds)
    promotion.promote(look_up(f"models:/{model}/{version}"))
    return before


def roll_back(target: Target, model: str, version: str, why: str) -> str:
    """Take a version out: the one before answers its requests. Which one it is.

    Where the version is not served (any more) nothing is done: a rollback that is done again is no second one. What
    else is tried out stays; when the version in service is taken out, it goes too, since it was held against that one.
    """
    status = target.status(model)
    served, stable = [item.version for item in status.versions], _in_service(status)
    if version not in served:
        if unfinished(target, model, status):
            finish(target, model, status, why=why)
        return stable
    if version != stable and len(served) > 2:
        target.remove(model, version, why=why)
        return stable
    if version == stable and len(served) > 1:
        target.roll_back(model, why=why)
    return go_back(target, model, why=why)


def unfinished(target: Target, model: str, status: Status) -> str:
    """The version that the registry has as champion still, though the target went back from it; else empty.

    A rollback that is killed leaves that behind. A champion that was put there since, by whom ever, is none's rest: a
    rollback that ended has taken the alias `previous_champion` away, and a promotion has left its time.
    """
    left, when = status.came_from
    if not left or target.name == "registry":
        return ""
    champion, before = promotion.champion(model), find(alias_uri(model, PREVIOUS))
    if champion is None or champion.version != left or before is None or before.version == left:
        return ""
    promoted = promotion.noted_at(champion, "promoted")
    return "" if promoted and promoted > datetime.datetime.fromisoformat(when) else left


def finish(target: Target, model: str, status: Status, *, who: str = "", why: str = "") -> str:
    """End a rollback that was killed: the version that is to be in service gets the traffic, and is the champion."""
    stable = _in_service(status)
    if len(status.versions) == 1:  # what was killed before the traffic came is done again; it changes nothing else
        target.deploy(model, stable, who=who, why=why)
    champion, back = promotion.champion(model), find(f"models:/{model}/{stable}")
    if champion is not None and back is not None:
        promotion.put_back(champion, back, who, why)
    return stable


def go_back(target: Target, model: str, *, who: str = "", why: str = "") -> str:
    """Put the version before back into service, for all requests; which one it is.

    One that was begun and killed is ended, and goes no further back. First the traffic. Then, where the version that
    was in service is the registry's champion still, the one before is again: a cluster knows no registry, and a worse
    version must not be what others predict with, or are judged by.
    """
    status = _status_or_none(target, model)
    if status is not None and _rest(target, model, status):
        stable = finish(target, model, status, who=who, why=why)
        if len(status.versions) == 1:
            return stable
    gone = _in_service(status) if status else ""
    back = target.roll_back(model, who=who, why=why)
    champion = promotion.champion(model)
    if champion is not None and champion.version == gone != back:
        before = find(f"models:/{model}/{back}")
        if before is not None:  # else it is served, though the registry has it no more
            promotion.put_back(champion, before, who, why)
    return back


def _status_or_none(target: Target, model: str) -> Status | None:
    try:
        return target.status(model)
    except ComponentError:
        return None


def _rest(target: Target, model: str, status: Status) -> str:
    """As `unfinished`; empty when the registry cannot say: a rollback of the traffic does not wait for it."""
    try:
        return unfinished(target, model, status)
    except ComponentError:
        return ""


def address_of(target: Target, model: str) -> str:
    """Where a target answers requests.

    Raises:
        ComponentError: it does not say.
    """
    details = target.status(model).details
    if "port" not in details:
        hint = "take a target that answers requests, such as local"
        raise ComponentError(
            "the target has no address to send requests to", where=f"{target.name}: {model}", hint=hint
        )
    scheme = "https" if details.get("tls") else "http"
    return f"{scheme}://{details['address']}:{details['port']}"


@dataclass(frozen=True)
class End:
    """How a release ended, and what to tell of it."""

    outcome: Literal["released", "rolled back", "held"]
    severity: Literal["info", "warning", "critical"]
    title: str
    text: str


def ended(target: Target, model: str, version: str, state: str, why: str) -> End:
    """How a release ended; where a step of it failed, the version is taken out if it is still served.

    A version that has all requests, and is the champion, has been released, in this run or an earlier one: what fails
    after that, or before a release of it has begun, is no reason to take it out.

    Args:
        state: of the release's steps, as the track tells it; one that says neither that they succeeded nor that one
            failed is KFP's, and what the steps have noted is believed.
        why: one failed; empty when the track does not tell.
    """
    name = f"{model} version {version}"
    failed, status = state == "FAILED", target.status(model)
    served = {item.version: item for item in status.versions}.get(version)
    if served is None:
        reason = why or noted(model, version, "taken_out") or (_FAILED if failed else "")
        text = f"version {_in_service(status)} answers all requests\n{reason}".strip()
        return End("rolled back", "critical", f"{name} was taken out", text)
    succeeded = state in _SUCCEEDED
    has_all = not served.shadow and served.percent == 100
    if has_all and (succeeded or (status.ready and _is_champion(model, version))):
        if failed:
            text = f"it was in service, and is; a step of this release failed:\n{why or _FAILED}"
            return End("released", "warning", f"{name} answers all requests", text)
        return End("released", "info", f"{name} answers all requests", "each step of the release was judged")
    if failed or (not succeeded and noted(model, version, "held") is None):
        reason = why or (_FAILED if failed else _NOT_TOLD)
        now = roll_back(target, model, version, f"the release failed: {reason}")
        return End("rolled back", "critical", f"{name} was taken out", f"version {now} answers all requests\n{reason}")
    part = f"copies of {served.percent:g} %" if served.shadow else f"{served.percent:g} %"
    text = (f"it keeps {part} of the requests until somebody decides; run the release again to judge it by more, "
            "or take it out: turnout serve rollback")  # fmt: skip
    return End("held", "warning", f"{name}: not yet known whether it is worse", text)


def _is_champion(model: str, version: str) -> bool:
    found = promotion.champion(model)
    return found is not None and found.version == version
