"""Kubernetes as a target: for each version a Deployment, and a route that divides the traffic.

A change makes what shall run, waits until it answers, and only then is recorded and gets traffic: a version that does
not start leaves what was there as it is. What was killed half-way is made whole by the same change again.
"""

from __future__ import annotations

import datetime
import functools
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from turnout.errors import ComponentError
from turnout.serving.release import (
    Release,
    came_from,
    check,
    deployed,
    existing,
    only,
    previous,
    rolled_back,
    with_split,
    without,
)
from turnout.serving.rollout.labels import LabelSource
from turnout.serving.targets import prometheus
from turnout.serving.targets.cluster import Cluster, ClusterState
from turnout.serving.targets.cluster_settings import ClusterSettings
from turnout.serving.targets.manifests import Manifest, routes, workload_name, workloads
from turnout.serving.targets.target import KEPT, Status, Support, lowered, refused, require

_POLL_S = 2.0
_NO_PROMETHEUS = (
    "name the Prometheus that scrapes the pods in the settings of the cluster: prometheus: http://HOST:9090"
)

SUPPORT: dict[str, Support] = {
    "deploy": KEPT,
    "percent": lowered("with a Gateway, to hundredths of a percent; without one there is one version at a time"),
    "shadow": lowered("the Gateway's RequestMirror; parts of the requests where the Gateway knows them"),
    "split": lowered("as percent"),
    "sticky": refused("the Gateway API has no stable field for it; serve the model with the target local"),
    "fallback": KEPT,
    "manifests": KEPT,
    "status": KEPT,
    "observed": lowered("requests, errors and latencies, as pods counted them, by the Prometheus of the settings"),
    "roll_back": KEPT,
    "remove": KEPT,
}


class KubernetesTarget:
    """Deployments behind a Gateway, or without one behind a Service.

    Args:
        wait: seconds between two looks at what starts.
    """

    name = "kubernetes"
    support: Mapping[str, Support] = SUPPORT

    def __init__(self, settings: ClusterSettings, wait: float = _POLL_S):
        self.settings, self._wait = settings, wait
        if not settings.prometheus:
            self.support = {**self.support, "observed": refused(_NO_PROMETHEUS)}

    @functools.cached_property
    def _cluster(self) -> Cluster:
        """Asked for when it is needed: manifests are written without one."""
        return Cluster(self.settings)

    def deploy(
        self, model: str, version: str, percent: float = 100.0, shadow: bool = False, *, who: str = "", why: str = ""
    ) -> None:
        self._change(model, lambda before: deployed(before, model, version, percent, shadow), who, why)

    def split(self, model: str, percents: Mapping[str, float], *, who: str = "", why: str = "") -> None:
        self._change(model, lambda before: with_split(existing(before, model), percents), who, why)

    def keep_users(self, model: str, header: str, *, who: str = "", why: str = "") -> None:
        require(self, "sticky", model)

    def status(self, model: str) -> Status:
        state = self._state(model)
        release = state.read()
        if release is None:
            return Status(model, (), False, problems=(f"nothing of {model} is served in {self.settings.namespace}",))
        problems = self.problems(release)
        history = state.history()
        before = previous(release, history)
        details = {"namespace": self.settings.namespace, "generation": release.generation, "why": release.reason}
        return Status(model, release.versions, not problems, before, tuple(problems), details, came_from(history))

    def observed(self, model: str, since: datetime.datetime, labels: LabelSource | None = None) -> Sequence[Any]:
        require(self, "observed", model)
        if labels is not None:
            hint = "judge without labels here, or serve the model with the target local"
            what = "labels are joined to a log of requests, and pods keep none"
            raise ComponentError(what, where=labels.source, hint=hint)
        history = self._state(model).history()
        return prometheus.observed(self.settings.prometheus, model, history, since) if history else []

    def roll_back(self, model: str, *, who: str = "", why: str = "") -> str:
        state = self._state(model)
        history = state.history()
        changed = self._change(model, lambda before: rolled_back(existing(before, model), history), who, why)
        return changed.stable.version

    def remove(self, model: str, version: str, *, who: str = "", why: str = "") -> None:
        self._change(model, lambda before: without(existing(before, model), version), who, why)

    def manifests(self, release: Release) -> list[Manifest]:
        """All that the cluster is told of a release, for a repository that something else applies."""
        self.allowed(release)
        return [*workloads(release, self.settings), *routes(release, self.settings)]

    def allowed(self, release: Release) -> None:
        """Raise ComponentError for a release that cannot be told to this cluster."""
        check(release)
        if release.sticky:
            require(self, "sticky", release.model)
        if len(release.versions) > 1 and not self.settings.gateway:
            raise ComponentError("without a Gateway one version is served at a time", where=release.model,
                                 hint="name one in the settings of the cluster: gateway: NAMESPACE/NAME")  # fmt: skip

    def start(self, release: Release, before: Release | None) -> None:
        """Make what a release needs, beside what there is, without traffic."""
        self._cluster.apply(workloads(release, self.settings))

    def give_traffic(self, release: Release) -> None:
        """Bring the traffic to the versions, and take out what is no longer served."""
        self._cluster.apply(routes(release, self.settings))
        self._cluster.prune(release.model, self.manifests(release))

    def undo(self, release: Release, before: Release | None) -> None:
        """Take out what was started and does not answer."""
        if before is not None:
            self._cluster.prune(release.model, self.manifests(before))

    def problems(self, release: Release) -> list[str]:
        """What stands in the way of a release, in sentences."""
        found = []
        for served in release.versions:
            name = workload_name(release.model, served.version)
            deployment = self._cluster.get("apps/v1", "Deployment", name)
            if deployment is None:
                found.append(f"version {served.version}: there is no Deployment {name}")
            elif said := _unready(deployment):
                found.append(f"version {served.version}: {said}")
        return found

    def _change(self, model: str, make: Callable[[Release | None], Release], who: str, why: str) -> Release:
        state = self._state(model)
        before = state.read()
        release = make(before)
        self.allowed(release)
        self.start(release, before)
        self._until_ready(release, before)
        changed = state.change(make, who, why)
        self.give_traffic(changed)
        return changed

    def _until_ready(self, release: Release, before: Release | None) -> None:
        if (
            before is not None
            and release == only(before, release.stable.version)
            and before.percent_of(release.stable.version)
        ):
            return  # back to what serves already: a cluster that is in trouble is no reason to wait
        deadline = time.monotonic() + self.settings.ready_s
        while problems := self.problems(release):
            if time.monotonic() > deadline:
                self.undo(release, before)
                what = f"not ready after {self.settings.ready_s} s: {'; '.join(problems)}"
                hint = f"what was served before goes on; kubectl -n {self.settings.namespace} describe pods"
                raise ComponentError(what, where=release.model, hint=hint)
            time.sleep(self._wait)

    def _state(self, model: str) -> ClusterState:
        return ClusterState(self._cluster, model)


def _unready(deployment: Manifest) -> str:
    """Why a Deployment does not serve as it shall; empty when it does."""
    status, generation = deployment.get("status") or {}, deployment["metadata"].get("generation", 0)
    if status.get("observedGeneration", 0) < generation:
        return "the cluster has not seen the change yet"
    asked = deployment["spec"].get("replicas", 1)
    ready, updated = status.get("readyReplicas", 0), status.get("updatedReplicas", 0)
    if updated >= asked and ready >= asked and status.get("replicas", 0) == updated:
        return ""
    wrong = [
        f"{item['reason']}: {item.get('message', '')}".strip(": ")
        for item in status.get("conditions", ())
        if item.get("status") == ("True" if item["type"] == "ReplicaFailure" else "False") and item.get("reason")
    ]
    return "; ".join([f"{ready} of {asked} pods answer", *wrong])
