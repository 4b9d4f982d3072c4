"""The target that a text names, as components and pipelines take it."""

from __future__ import annotations

from collections.abc import Callable

from turnout.serving.targets.target import Target, unknown


def _registry(place: str) -> Target:
    from turnout.serving.targets.registry import RegistryTarget

    return RegistryTarget()


def _local(place: str) -> Target:
    from turnout.serving.state import ROOT
    from turnout.serving.targets.local import LocalTarget

    return LocalTarget(place or ROOT)


def _kubernetes(place: str) -> Target:
    from turnout.serving.targets.cluster_settings import cluster_settings
    from turnout.serving.targets.kubernetes import KubernetesTarget

    return KubernetesTarget(cluster_settings(place or "kubernetes.yaml"))


def _kserve(place: str) -> Target:
    from turnout.serving.targets.cluster_settings import cluster_settings
    from turnout.serving.targets.kserve import KServeTarget

    return KServeTarget(cluster_settings(place or "kserve.yaml"))


TARGETS: dict[str, Callable[[str], Target]] = {
    "registry": _registry,
    "local": _local,
    "kubernetes": _kubernetes,
    "kserve": _kserve,
}


def target_of(text: str) -> Target:
    """The target that a text names.

    Args:
        text: `registry`; `local`, or `local:DIRECTORY` with a serving directory for each model; `kubernetes:FILE` or
            `kserve:FILE` with the settings of the cluster.

    Raises:
        ComponentError: there is no such target, or its settings cannot be read.
    """
    name, _, place = text.partition(":")
    if name not in TARGETS:
        raise unknown(name, list(TARGETS))
    return TARGETS[name](place)
