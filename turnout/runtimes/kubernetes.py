"""What becomes of a step's settings in a pod."""

from __future__ import annotations

from turnout.plan.support import KEPT, Support, refused
from turnout.runtimes import process

SUPPORT: dict[str, Support] = {
    **process.SUPPORT,
    **{kind: KEPT for kind in process.SUPPORT if kind.startswith("kubernetes.")},
    "PipelineContainerSpec.image": KEPT,
    "ResourceSpec.*": KEPT,
    "AcceleratorConfig.*": KEPT,
    "PipelineConfig.workspace": refused("pods share no directory; mount a claim with kfp.kubernetes.mount_pvc"),
}
