"""What the ways to run a step do with the settings of its container and pod: see `support`.

A compiled DAG file does not know its runtime: the deployment chooses it (`[turnout] runtime`). Compiling
refuses what no runtime can do; a run refuses, before its first step, what its own cannot.
"""

from __future__ import annotations

from turnout.errors import Fault, did_you_mean
from turnout.spec.document import Document
from turnout.tracks.support import AIRFLOW, KEPT, KFP, LOCAL, PROCESS, Support, lowered, refusals, refused

_DECLARED = lowered("from the file of declared secrets: [turnout] secrets")
_ELSEWHERE = lowered("says where a pod runs; the container runs on the worker's Docker host")
_NO_FILES = refused("would leave secrets in files of the Docker host; pass them as variables, or run on Kubernetes")

DOCKER: dict[str, Support] = {
    **PROCESS,
    "PipelineContainerSpec.image": KEPT,
    "ResourceSpec.*": lowered("the memory limit as it is; processors as shares of the host's"),
    "AcceleratorConfig.*": lowered("a request for so many of the host's devices"),
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
    "kubernetes.fieldPathAsEnv": refused("a container has no pod whose fields it could read; run on Kubernetes"),
    **dict.fromkeys(
        ("kubernetes.nodeSelector", "kubernetes.tolerations", "kubernetes.nodeAffinity", "kubernetes.podAffinity"),
        _ELSEWHERE,
    ),
}

KUBERNETES: dict[str, Support] = {
    **PROCESS,
    **{kind: KEPT for kind in PROCESS if kind.startswith("kubernetes.")},
    "PipelineContainerSpec.image": KEPT,
    "ResourceSpec.*": KEPT,
    "AcceleratorConfig.*": KEPT,
    "PipelineConfig.workspace": refused("pods share no directory; mount a claim with kfp.kubernetes.mount_pvc"),
}

RUNTIMES: dict[str, dict[str, Support]] = {"process": PROCESS, "docker": DOCKER, "kubernetes": KUBERNETES}


def check_runtime(document: Document, runtime: str) -> list[Fault]:
    """A fault for each fact that Airflow refuses with a runtime, or one for a runtime that does not exist."""
    table = RUNTIMES.get(runtime)
    if table is None:
        return [Fault(f"no runtime '{runtime}'", "[turnout] runtime", tuple(RUNTIMES), did_you_mean(runtime, RUNTIMES))]
    return refusals(document, {**AIRFLOW, **table})


def _over_all(kind: str) -> Support:
    """What becomes of a fact while the runtime is not known."""
    found = {name: table.get(kind, AIRFLOW.get(kind, KEPT)) for name, table in RUNTIMES.items()}
    if len(set(found.values())) == 1 or all(support.verdict == "refused" for support in found.values()):
        return next(iter(found.values()))
    return lowered("; ".join(f"{name}: {item.how or item.verdict}" for name, item in found.items()))


ANY_RUNTIME: dict[str, Support] = {
    **AIRFLOW,
    **{kind: _over_all(kind) for table in RUNTIMES.values() for kind in table},
}
"""Airflow's table while the runtime is not known."""

TABLES = {"local": LOCAL, "airflow": ANY_RUNTIME, "kfp": KFP}
