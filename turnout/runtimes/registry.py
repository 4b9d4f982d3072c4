"""The runtimes that there are; what each does with a step's settings, and what it can be set to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from turnout.errors import Fault, did_you_mean
from turnout.execution.store import ArtifactStore
from turnout.plan.support import KEPT, Support, lowered
from turnout.runtimes import docker, kubernetes, process, warm
from turnout.runtimes.settings import Setting, read_settings
from turnout.runtimes.steps import StepRunner

RUNTIMES: dict[str, Mapping[str, Support]] = {
    "process": process.SUPPORT,
    "warm": warm.SUPPORT,
    "docker": docker.SUPPORT,
    "kubernetes": kubernetes.SUPPORT,
}
"""What each keeps, lowers and refuses, by its name."""


@dataclass(frozen=True)
class _Way:
    settings: tuple[Setting, ...]
    make: Callable[[Mapping[str, str], ArtifactStore], StepRunner]


_WAYS: dict[str, _Way] = {
    "process": _Way(process.SETTINGS, process.Processes),
    "warm": _Way(warm.SETTINGS, warm.WarmProcesses),
    "docker": _Way(docker.SETTINGS, docker.Containers),
    "kubernetes": _Way(kubernetes.SETTINGS, kubernetes.Pods),
}


def make_step_runner(runtime: str, given: Mapping[str, str], store: ArtifactStore) -> StepRunner:
    """What runs the steps of one run.

    Args:
        runtime: one of `RUNTIMES`.
        given: settings of it, by name; the environment and the defaults say the others.

    Raises:
        TurnoutError: it has no such setting, or one is missing or wrong.
    """
    way = _WAYS[runtime]
    return way.make(read_settings(way.settings, given, runtime), store)


def unknown_runtime(runtime: str, where: str, known: Iterable[str] = RUNTIMES) -> Fault:
    """The fault of naming a runtime that does not exist."""
    names = tuple(known)
    return Fault(f"no runtime '{runtime}'", where, names, did_you_mean(runtime, names))


def any_runtime(known: Mapping[str, Mapping[str, Support]] = RUNTIMES) -> dict[str, Support]:
    """What becomes of settings while the runtime is not known: refused is what all of them refuse."""
    return {kind: _over_all(kind, known) for table in known.values() for kind in table}


def _over_all(kind: str, known: Mapping[str, Mapping[str, Support]]) -> Support:
    found = {name: table.get(kind, KEPT) for name, table in known.items()}
    if len(set(found.values())) == 1 or all(support.verdict == "refused" for support in found.values()):
        return next(iter(found.values()))
    return lowered("; ".join(f"{name}: {_in_words(item)}" for name, item in found.items()))


def _in_words(item: Support) -> str:
    return f"refused, {item.how}" if item.verdict == "refused" else item.how or item.verdict
