"""What a track is, and which there are.

A track is found by its entry point in the group `turnout.tracks`, whose value is a `Track`; a package of somebody
else's can bring one.
"""

from __future__ import annotations

import functools
import importlib.metadata
import sys
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
class Server:
    """Somebody else's server that runs pipelines, and what is wanted of it.

    Attributes:
        host: its URL.
        token: what it knows the caller by; empty when it asks for none.
        namespace, experiment: where runs are kept there, for servers that have such; its own default when empty.
        pipeline_root: URI below which a server of KFP's kind keeps artifacts; the pipeline's, or its own, when empty.
        wait: whether a run is watched to its end.
        poll_s: seconds between two looks at a run, and before a question that was not answered is asked again.
    """

    host: str
    token: str = ""
    namespace: str = ""
    experiment: str = ""
    pipeline_root: str = ""
    wait: bool = True
    poll_s: float = 5.0


class Submit(Protocol):
    """Runs a plan on a server; see `turnout.tracks.kfp.submit.submit`."""

    def __call__(
        self, plan: Plan, parameters: Mapping[str, Any], server: Server, run_id: str, watch: Watch
    ) -> RunResult: ...


class Schedule(Protocol):
    """Has a server run a plan by its schedule; says in words what was done."""

    def __call__(self, plan: Plan, parameters: Mapping[str, Any], server: Server) -> str: ...


@dataclass(frozen=True)
class Track:
    """A target that a plan can run on.

    Attributes:
        support: what becomes of each kind of fact, with a runtime of this name; None: while it is not known.
        faults: what keeps a plan from this track, with a runtime of this name.
        compile: the files of a plan, by name; None: nothing is compiled.
        run: runs a plan here; None: somebody else's server does.
        submit: runs a plan on such a server; None: nothing is submitted to one.
        schedule: has a server run a plan by its schedule; None: a file that is compiled says so.
    """

    name: str
    support: Callable[[str | None], Mapping[str, Support]]
    faults: Callable[[Plan, str | None], list[Fault]]
    compile: Callable[[Plan], dict[Path, str]] | None = None
    run: Run | None = None
    submit: Submit | None = None
    schedule: Schedule | None = None


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
    return _entry_points_on((*sys.path,))


@functools.cache
def _entry_points_on(path: tuple[str, ...]) -> dict[str, importlib.metadata.EntryPoint]:
    return {item.name: item for item in importlib.metadata.entry_points(group=GROUP)}
