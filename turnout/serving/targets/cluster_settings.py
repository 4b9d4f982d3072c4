"""How models are served on a cluster: the settings that both targets there take."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

import cattrs
import yaml

from turnout.errors import ComponentError, did_you_mean

_CONVERTER = cattrs.Converter(forbid_extra_keys=True)
_QUANTITY = re.compile(r"\d+(\.\d+)?(m|[KMGT]i?)?")
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


@dataclass(frozen=True)
class ClusterSettings:
    """How the versions of a model are served on a cluster.

    Attributes:
        image: with Turnout and its extra `serve`, and what the model needs to be loaded.
        tracking_uri: of the MLflow that pods fetch their version from.
        context: of kubectl's configuration; the current one, or that of the pod, when empty.
        namespace: it exists.
        gateway: NAMESPACE/NAME or NAME of the Gateway that traffic comes from. Without one a model has a Service alone,
            and one version at a time. (KServe has its own.)
        hostnames: of the Gateway's listener, that are the model's; all when empty.
        replicas: pods of a version at least. 0 needs `autoscaling: keda`.
        most_replicas: pods of a version at most.
        autoscaling: `hpa`, by CPU; `keda`, by requests that Prometheus has counted; `none`.
        cpu_percent: of what a pod asks for, that the autoscaler aims at.
        requests_per_second: of a pod, that KEDA aims at.
        prometheus: address of the Prometheus that scrapes the pods: KEDA asks it, and the judge of releases.
        workers: processes in a pod that answer.
        cpu, memory: what a pod asks for, as Kubernetes' quantities; of memory it gets no more.
        disk: what a pod may write, as Kubernetes' quantity: the version's files, and at most 4 GB of logs.
        accelerator: the resource of a device, such as `nvidia.com/gpu`; each pod gets one.
        secrets: names of Secrets whose keys become environment variables: credentials of MLflow and of its store.
        token_secret: name of a Secret with the key `token`, which requests must bear; without one the network decides
            who may ask.
        service_account: of the pods.
        ready_s: seconds that a new version may take until it answers; after that it is taken out again.
    """

    image: str
    tracking_uri: str
    context: str = ""
    namespace: str = "default"
    gateway: str = ""
    hostnames: tuple[str, ...] = ()
    replicas: int = 2
    most_replicas: int = 10
    autoscaling: Literal["hpa", "keda", "none"] = "hpa"
    cpu_percent: int = 70
    requests_per_second: int = 500
    prometheus: str = ""
    workers: int = 1
    cpu: str = "1"
    memory: str = "1Gi"
    disk: str = "10Gi"
    accelerator: str = ""
    secrets: tuple[str, ...] = ()
    token_secret: str = ""
    service_account: str = ""
    ready_s: int = 600


def cluster_settings(given: Mapping[str, Any] | str | Path) -> ClusterSettings:
    """Settings from a mapping, or from a YAML file.

    Raises:
        ComponentError: a name or a value that there is not; all of them at once.
    """
    where = "the settings of the cluster" if isinstance(given, Mapping) else str(given)
    hint = "the guide of serving on a cluster has all settings"
    if not isinstance(given, Mapping):
        try:
            given = yaml.safe_load(Path(given).read_text(encoding="utf-8")) or {}
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise ComponentError(f"they cannot be read: {error}", where=where, hint=hint) from error
        if not isinstance(given, Mapping):
            raise ComponentError("not a mapping of settings", where=where, hint=hint)
    names = [field.name for field in fields(ClusterSettings)]
    if unknown := sorted(set(map(str, given)) - set(names)):
        guess = did_you_mean(unknown[0], names) or hint
        raise ComponentError(f"no such setting: {', '.join(unknown)}", where=where, available=names, hint=guess)
    try:
        settings = _CONVERTER.structure(dict(given), ClusterSettings)
    except cattrs.BaseValidationError as error:
        reasons = "; ".join(line.replace("@ $.", "@ ") for line in cattrs.transform_error(error))
        raise ComponentError(reasons, where=where, hint=hint) from error
    if faults := [*_faults(settings)]:
        raise ComponentError("; ".join(faults), where=where, hint=hint)
    return settings


def _faults(settings: ClusterSettings) -> list[str]:
    found = []
    for name in ("image", "tracking_uri"):
        if not getattr(settings, name):
            found.append(f"{name} is empty")
    if not _LABEL.fullmatch(settings.namespace):
        found.append(f"namespace: not the name of a namespace: {settings.namespace!r}")
    if settings.gateway and not all(map(_LABEL.fullmatch, settings.gateway.split("/", 1))):
        found.append(f"gateway: neither NAME nor NAMESPACE/NAME: {settings.gateway!r}")
    for name in ("cpu", "memory", "disk"):
        if not _QUANTITY.fullmatch(getattr(settings, name)):
            found.append(f"{name}: not a quantity such as 500m or 1Gi: {getattr(settings, name)!r}")
    if not 0 <= settings.replicas <= settings.most_replicas:
        found.append(f"replicas: {settings.replicas} is not between 0 and most_replicas, {settings.most_replicas}")
    if settings.replicas == 0 and settings.autoscaling != "keda":
        found.append("replicas: 0 needs autoscaling: keda; the others never start a pod for the first request")
    if settings.autoscaling == "keda" and not settings.prometheus:
        found.append("prometheus is empty, and autoscaling: keda asks it")
    for name in ("most_replicas", "workers", "cpu_percent", "requests_per_second", "ready_s"):
        if getattr(settings, name) < 1:
            found.append(f"{name}: {getattr(settings, name)} is less than 1")
    return found
