"""What a track is, and which there are.

A track is found by its entry point in the group `turnout.tracks`, whose value is a `Track`; a package of somebody
else's can bring one.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from turnout.errors import Fault, TrackError, did_you_mean
from turnout.execution.secrets import Secrets
from turnout.execution.store import ArtifactStore
from turnout.plan.model import Plan
from turnout.plan.results import RunResult, Watch
from turnout.plan.support import Support

GROUP = "turnout.tracks"
COMPILED_TO = "airflow"
"""The track that pipelines are compiled to when none is named."""
RUN_ON = "local"
"""The track that pipelines run on when none is named."""


@dataclass(frozen=True)
class Options:
    """How a run runs.

    Attributes:
        parallelism: how many steps may run at once; as many as there are cores when None.
        use_cache: whether results of earlier steps are taken.
        secrets: what stands for the cluster's secrets and config maps.
        runtime: what steps run with; the track's own when empty.
        settings: of the runtime, by name.
        tags: of the run, by name; the value of one without a value is empty.
    """

    parallelism: int | None = None
    use_cache: bool = True
    secrets: Secrets = field(default_factory=Secrets)
    runtime: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)


DEFAULTS = Options()


class Run(Protocol):
    """Runs a plan to its end; see `turnout.tracks.local.runner.run`."""

    def __call__(
        self,
        plan: Plan,
        parameters: Mapping[str, Any],
        store: ArtifactStore,
        run_id: str,
        options: Options,
        watch: Watch,
    ) -> RunResult: ...


@dataclass(frozen=True)
class Track:
    """A target that a plan can run on.

    Attributes:
        support: what becomes of each kind of fact, with a runtime of this name; None: while it is not known.
        faults: what keeps a plan from this track, with a runtime of this name.
        compile: the files of a plan, by name; None: nothing is compiled.
        run: runs a plan here; None: somebody else's server does.
    """

    name: str
    support: Callable[[str | None], Mapping[str, Support]]
    faults: Callable[[Plan, str | None], list[Fault]]
    compile: Callable[[Plan], dict[Path, str]] | None = None
    run: Run | None = None


def names() -> list[str]:
    """The tracks that are installed, by name."""
    return sorted(_entry_points())


def track(name: str) -> Track:
    """A track by its name.

    Raises:
        TrackError: there is none.
    """
    found = _entry_points()
    if name not in found:
        raise TrackError([Fault(f"no track '{name}'", "", tuple(sorted(found)), did_you_mean(name, found))])
    loaded: Track = found[name].load()
    return loaded


def _entry_points() -> dict[str, importlib.metadata.EntryPoint]:
    return {item.name: item for item in importlib.metadata.entry_points(group=GROUP)}
