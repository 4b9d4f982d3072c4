"""What becomes of a step's settings in a container of Docker."""

from __future__ import annotations

import dataclasses

from turnout.plan.support import KEPT, Support, lowered, refused
from turnout.runtimes import process
from turnout.spec.deployment_spec import AcceleratorConfig, ResourceSpec

_DECLARED = lowered("from the file of declared secrets: [turnout] secrets")
_ELSEWHERE = lowered("says where a pod runs; the container runs on the worker's Docker host")
_NO_FILES = refused(
    "would leave secrets in files of the Docker host; pass them as variables, or run on Kubernetes", "never"
)

_LIMITS = lowered("the memory limit as it is; processors as shares of the host's")
_DEVICES = lowered("a request for so many of the host's devices")

SUPPORT: dict[str, Support] = {
    **process.SUPPORT,
    "PipelineContainerSpec.image": KEPT,
    "PipelineContainerSpec.resources": KEPT,
    **{f"ResourceSpec.{item.name}": _LIMITS for item in dataclasses.fields(ResourceSpec)},
    **{f"AcceleratorConfig.{item.name}": _DEVICES for item in dataclasses.fields(AcceleratorConfig)},
    "kubernetes.secretAsEnv": _DECLARED,
    "kubernetes.configMapAsEnv": _DECLARED,
    "kubernetes.secretAsVolume": _NO_FILES,
    "kubernetes.configMapAsVolume": _NO_FILES,
    "kubernetes.pvcMount": lowered("the Docker volume of the claim's name"),
    "kubernetes.emptyDirMounts": lowered("a volume of its own; in memory where it says so"),
    "kubernetes.genericEphemeralVolume": lowered("a volume of its own, without a limit"),
    "kubernetes.enabledSharedMemory": lowered("the container's shared memory"),
    "kubernetes.imagePullPolicy": KEPT,
    "kubernetes.imagePullSecret": lowered("the registry's login is the Docker connection's"),
    "kubernetes.podMetadata": lowered("labels and annotations are the container's labels"),
    "kubernetes.securityContext": lowered("the container's user and group"),
    "kubernetes.fieldPathAsEnv": refused(
        "a container has no pod whose fields it could read; run on Kubernetes", "never"
    ),
    **dict.fromkeys(
        ("kubernetes.nodeSelector", "kubernetes.tolerations", "kubernetes.nodeAffinity", "kubernetes.podAffinity"),
        _ELSEWHERE,
    ),
}
