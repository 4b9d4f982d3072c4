"""The runtimes that a deployment may choose, and what each does with a step's settings."""

from __future__ import annotations

from collections.abc import Mapping

from turnout.errors import Fault, did_you_mean
from turnout.plan.support import KEPT, Support, lowered
from turnout.runtimes import docker, kubernetes, process

RUNTIMES: dict[str, Mapping[str, Support]] = {
    "process": process.SUPPORT,
    "docker": docker.SUPPORT,
    "kubernetes": kubernetes.SUPPORT,
}
"""What each keeps, lowers and refuses, by its name."""


def unknown_runtime(runtime: str, where: str) -> Fault:
    """The fault of naming a runtime that does not exist."""
    return Fault(f"no runtime '{runtime}'", where, tuple(RUNTIMES), did_you_mean(runtime, RUNTIMES))


def any_runtime() -> dict[str, Support]:
    """What becomes of settings while the runtime is not known: refused is what all of them refuse."""
    return {kind: _over_all(kind) for table in RUNTIMES.values() for kind in table}


def _over_all(kind: str) -> Support:
    found = {name: table.get(kind, KEPT) for name, table in RUNTIMES.items()}
    if len(set(found.values())) == 1 or all(support.verdict == "refused" for support in found.values()):
        return next(iter(found.values()))
    return lowered("; ".join(f"{name}: {item.how or item.verdict}" for name, item in found.items()))
