"""KServe as a target: one InferenceService, whose canaries are the versions that are tried out.

A canary is loaded without traffic first, as KServe's `trafficPercent: 0` does, and gets its part when it answers.
"""

from __future__ import annotations

from collections.abc import Mapping

from turnout.errors import ComponentError
from turnout.serving.release import Release, check
from turnout.serving.targets.cluster_settings import ClusterSettings
from turnout.serving.targets.kserve_manifests import API, inference_service, serving_runtime
from turnout.serving.targets.kubernetes import SUPPORT as ON_KUBERNETES
from turnout.serving.targets.kubernetes import KubernetesTarget
from turnout.serving.targets.manifests import Manifest, label
from turnout.serving.targets.target import Support, lowered, refused, require

SUPPORT: dict[str, Support] = {
    **ON_KUBERNETES,
    "percent": lowered("whole percents, which is what KServe takes"),
    "shadow": refused("KServe has none; release with shadow_percent 0, or take the target kubernetes"),
    "split": lowered("whole percents, which is what KServe takes"),
    "sticky": refused("KServe has no field for it; serve the model with the target local"),
}


class KServeTarget(KubernetesTarget):
    """An InferenceService, and the ServingRuntime that it needs. The Gateway is KServe's own."""

    name = "kserve"
    support: Mapping[str, Support] = SUPPORT

    def __init__(self, settings: ClusterSettings, wait: float = 2.0):
        if settings.autoscaling == "keda":
            hint = "take autoscaling: hpa, or the target kubernetes"
            raise ComponentError("KServe makes its autoscaler itself", where="autoscaling: keda", hint=hint)
        super().__init__(settings, wait)

    def manifests(self, release: Release) -> list[Manifest]:
        self.allowed(release)
        return [serving_runtime(self.settings), inference_service(release, self.settings)]

    def allowed(self, release: Release) -> None:
        check(release)
        if release.shadows:
            require(self, "shadow", release.model)
        if release.sticky:
            require(self, "sticky", release.model)
        inference_service(release, self.settings)

    def start(self, release: Release, before: Release | None) -> None:
        if before is None:
            self._apply(release, dark=True)
        elif added := [served for served in release.routed if not before.percent_of(served.version)]:
            beside = [served for served in before.routed if served.version not in {one.version for one in added}]
            both = Release(release.model, (*beside, *added), fallback=release.fallback)
            self._apply(both, dark=True)

    def give_traffic(self, release: Release) -> None:
        self._apply(release)

    def undo(self, release: Release, before: Release | None) -> None:
        if before is not None:
            self._apply(before)

    def problems(self, release: Release) -> list[str]:
        found = self._cluster.get(API, "InferenceService", label(release.model))
        if found is None:
            return [f"there is no InferenceService {label(release.model)}"]
        status = found.get("status") or {}
        if status.get("observedGeneration", 0) < found["metadata"].get("generation", 0):
            return ["KServe has not seen the change yet"]
        said = [
            f"{item['type']}: {item.get('reason', '')} {item.get('message', '')}".strip()
            for item in status.get("conditions", ())
            if item.get("status") != "True" and item["type"] in ("Ready", "PredictorReady")
        ]
        if not status.get("conditions"):
            said.append("KServe says nothing of it yet")
        said += [
            f"canary {item['name']} is not ready" for item in status.get("canaryStatuses", ()) if not item["ready"]
        ]
        return said

    def _apply(self, release: Release, dark: bool = False) -> None:
        made = inference_service(release, self.settings, dark)
        self._cluster.apply([serving_runtime(self.settings), made])
        kept = self._cluster.get(API, "InferenceService", made["metadata"]["name"]) or {}
        if "canary" in made["spec"] and not (kept.get("spec") or {}).get("canary"):
            raise ComponentError("this KServe passes over canaries: all traffic stays where it is", where=release.model,
                                 hint="update KServe to 0.20 or later, or take the target kubernetes")  # fmt: skip
