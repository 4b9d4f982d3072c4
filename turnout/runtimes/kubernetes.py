"""What becomes of a step's settings in a pod."""

from __future__ import annotations

import dataclasses

from turnout.plan.support import KEPT, Support, refused
from turnout.runtimes import process
from turnout.spec.deployment_spec import AcceleratorConfig, ResourceSpec

SUPPORT: dict[str, Support] = {
    **process.SUPPORT,
    **{kind: KEPT for kind in process.SUPPORT if kind.startswith("kubernetes.")},
    "PipelineContainerSpec.image": KEPT,
    "PipelineContainerSpec.resources": KEPT,
    **{f"ResourceSpec.{item.name}": KEPT for item in dataclasses.fields(ResourceSpec)},
    **{f"AcceleratorConfig.{item.name}": KEPT for item in dataclasses.fields(AcceleratorConfig)},
    "PipelineConfig.workspace": refused(
        "pods share no directory; mount a claim with kfp.kubernetes.mount_pvc", "notimpl"
    ),
}
