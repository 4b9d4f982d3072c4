"""A step as a Kubernetes pod: its manifest, from the step's settings.

Source of the settings: `KubernetesExecutorConfig` in `kubernetes_executor_config.proto` of kfp-kubernetes 2.17, and
`init_containers` and `pod_resource_claims` of what comes after it. They come here with their values filled in. What
each becomes is what KFP's driver makes of it.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from turnout.execution.staging import WRAPPER
from turnout.names import shortened
from turnout.spec.deployment_spec import ResourceSpec
from turnout.spec.step_contract import Run

BASE, LAUNCHER = "base", "launcher"
"""The step's own container; and the one of a template that stands for both that stage."""

_VOLUME = "turnout"
_GRACE_S = 300
"""What a side-car may take to store what a killed step left."""

Json = dict[str, Any]


def manifest(
    settings: Mapping[str, Any],
    *,
    image: str,
    command: Sequence[str],
    environment: Mapping[str, str],
    resources: ResourceSpec | None,
    task: str,
    shared: str,
    launcher_image: str,
    template: Mapping[str, Any] | None = None,
    metadata: Mapping[str, Mapping[str, str]] = {},
) -> Json:
    """The manifest of a step's pod.

    Args:
        settings: of the platform `kubernetes`, by their names there.
        environment: plain variables; secrets are only ever referred to.
        task: URI of the task that the pod runs.
        shared: directory that its containers share.
        launcher_image: image that has Turnout and the store's libraries.
        template: a pod to start from. Its container `launcher` says more of the two that stage (credentials,
            volumes, resources), its container `base` of the step's own.
        metadata: further labels and annotations, which no setting changes.
    """
    pod = copy.deepcopy(dict(template or {}))
    spec: Json = pod.setdefault("spec", {})
    given = {item["name"]: item for item in spec.pop("containers", [])}
    base, launcher = given.pop(BASE, {}), given.pop(LAUNCHER, {})
    mount = {"name": _VOLUME, "mountPath": shared}
    volumes = list(_volumes(settings))

    def staging(name: str, which: str) -> Json:
        own = {"name": name, "image": launcher_image, "command": ["turnout", "stage", which, task, shared]}
        return {**launcher, **own, "volumeMounts": [*launcher.get("volumeMounts", []), mount]}

    container = {
        **base,
        "name": BASE,
        "image": image,
        "command": ["sh", "-c", WRAPPER, shared, *command],
        "env": [*base.get("env", []), *_environment(settings, environment)],
        "volumeMounts": [*base.get("volumeMounts", []), mount, *(item for _, item in volumes)],
    }
    claims = list(_resource_claims(settings))
    if wanted := {
        **_resources(resources),
        **({"claims": [{"name": item["name"]} for item in claims]} if claims else {}),
    }:
        container["resources"] = {**base.get("resources", {}), **wanted}
    if claims:
        spec["resourceClaims"] = [*spec.get("resourceClaims", []), *claims]
    if policy := settings.get("imagePullPolicy"):
        container["imagePullPolicy"] = policy
    if context := _security_context(settings.get("securityContext", {})):
        container["securityContext"] = {**base.get("securityContext", {}), **context}
    own = pod.setdefault("metadata", {})
    for key in ("labels", "annotations"):
        if more := {**settings.get("podMetadata", {}).get(key, {}), **metadata.get(key, {})}:
            own[key] = {**own.get(key, {}), **more}
    spec.update(
        restartPolicy="Never",
        containers=[container, *given.values()],
        initContainers=[
            *spec.get("initContainers", []),
            staging("stage-in", "in"),
            *_init_containers(settings, [item for item, _ in volumes if item]),
            {**staging("stage-out", "out"), "restartPolicy": "Always"},
        ],
        volumes=[*spec.get("volumes", []), {"name": _VOLUME, "emptyDir": {}}, *(item for item, _ in volumes if item)],
    )
    spec.setdefault("terminationGracePeriodSeconds", _GRACE_S)
    if seconds := settings.get("activeDeadlineSeconds"):
        spec["activeDeadlineSeconds"] = int(seconds)
    for key, make in _PLACEMENT.items():
        if value := make(settings):
            there = spec.get(key)
            spec[key] = [*there, *value] if isinstance(there, list) else {**(there or {}), **value} if there else value
    return {"apiVersion": "v1", "kind": "Pod", **pod}


_COMPONENT = {"pipelines.kubeflow.org/v2_component": "true"}


def kfp_metadata(run: Run) -> dict[str, dict[str, str]]:
    """The labels and annotations that KFP's own pods have, for tools and steps that look for them."""
    # A label's value begins and ends with a letter or digit, and has 63 characters at most.
    run_id = re.sub(r"[^A-Za-z0-9_.-]", "-", run.run_id).strip("-_.")
    return {
        "labels": {**_COMPONENT, "pipeline/runid": shortened(run_id, 63)},
        "annotations": {**_COMPONENT, "pipelines.kubeflow.org/run_name": run.run_id},
    }


# --- variables, volumes, resources ------------------------------------------------------------------------


def _name(entry: Mapping[str, Any], kind: str) -> str:
    """The name of a secret, config map or claim: KFP writes it twice where it is a constant."""
    return str(entry.get(f"{kind}NameParameter") or entry.get(f"{kind}Name") or entry.get("constant") or "")


def _environment(settings: Mapping[str, Any], plain: Mapping[str, str]) -> Iterator[Json]:
    yield from ({"name": name, "value": value} for name, value in plain.items())
    for key, kind in (("secretAsEnv", "secret"), ("configMapAsEnv", "configMap")):
        for entry in settings.get(key, ()):
            for pair in entry["keyToEnv"]:
                reference = {"name": _name(entry, kind), "key": pair[f"{kind}Key"]}
                optional = {"optional": True} if entry.get("optional") else {}
                yield {"name": pair["envVar"], "valueFrom": {f"{kind}KeyRef": {**reference, **optional}}}
    for entry in settings.get("fieldPathAsEnv", ()):
        yield {"name": entry["name"], "valueFrom": {"fieldRef": {"fieldPath": entry["fieldPath"]}}}


def _volumes(settings: Mapping[str, Any]) -> Iterator[tuple[Json, Json]]:
    """Volumes, each with how it is mounted."""

    def mounted(volume: Json, entry: Mapping[str, Any]) -> tuple[Json, Json]:
        path = {"subPath": entry["subPath"]} if entry.get("subPath") else {}
        return volume, {"name": volume["name"], "mountPath": entry["mountPath"], **path}

    for index, entry in enumerate(settings.get("secretAsVolume", ())):
        source = {"secretName": _name(entry, "secret"), "optional": bool(entry.get("optional"))}
        yield mounted({"name": f"secret-{index}", "secret": source}, entry)
    for index, entry in enumerate(settings.get("configMapAsVolume", ())):
        source = {"name": _name(entry, "configMap"), "optional": bool(entry.get("optional"))}
        yield mounted({"name": f"config-map-{index}", "configMap": source}, entry)
    claims: dict[str, str] = {}
    for entry in settings.get("pvcMount", ()):
        claim = _name(entry, "pvc")
        first = claim not in claims
        name = claims.setdefault(claim, f"claim-{len(claims)}")
        volume, mount = mounted({"name": name, "persistentVolumeClaim": {"claimName": claim}}, entry)
        yield volume if first else {}, mount
    for entry in settings.get("emptyDirMounts", ()):
        facts = {key: entry[key] for key in ("medium", "sizeLimit") if entry.get(key)}
        yield mounted({"name": entry["volumeName"], "emptyDir": facts}, entry)
    if memory := settings.get("enabledSharedMemory"):
        size = {"sizeLimit": memory["size"]} if memory.get("size") else {}
        name = memory.get("volumeName") or "shared-memory"
        yield mounted({"name": name, "emptyDir": {"medium": "Memory", **size}}, {"mountPath": "/dev/shm"})
    for entry in settings.get("genericEphemeralVolume", ()):
        claim_spec: Json = {
            "accessModes": list(entry["accessModes"]),
            "resources": {"requests": {"storage": entry["size"]}},
        }
        if not entry.get("defaultStorageClass") and entry.get("storageClassName"):
            claim_spec["storageClassName"] = entry["storageClassName"]
        metadata = {"metadata": dict(entry["metadata"])} if entry.get("metadata") else {}
        source = {"volumeClaimTemplate": {**metadata, "spec": claim_spec}}
        yield mounted({"name": entry["volumeName"], "ephemeral": source}, entry)


def _init_containers(settings: Mapping[str, Any], volumes: Sequence[Json]) -> Iterator[Json]:
    """What runs before the step's container, or beside it. It calls a volume by its name, or by what is in it."""
    names: dict[str, str] = {}
    for volume in volumes:
        held = [volume.get(kind, {}).get(key) for kind, key in _HELD.items()]
        names |= dict.fromkeys([volume["name"], *(name for name in held if name)], volume["name"])
    for entry in settings.get("initContainers", ()):
        plain = {key: entry[key] for key in ("name", "image", "command", "args", "env", "restartPolicy", "resources")
                 if entry.get(key)}  # fmt: skip
        mounts = [
            {"name": names.get(item["volumeName"], item["volumeName"]), "mountPath": item["mountPath"]}
            for item in entry.get("volumeMounts", ())
        ]
        yield {**plain, **({"volumeMounts": mounts} if mounts else {})}


_HELD = {"secret": "secretName", "configMap": "name", "persistentVolumeClaim": "claimName"}
"""Where in a volume the name of what it holds is, by its kind."""


def _resource_claims(settings: Mapping[str, Any]) -> Iterator[Json]:
    """Claims of devices (Dynamic Resource Allocation), with names of their own in the pod."""
    for index, entry in enumerate(settings.get("podResourceClaims", ())):
        template = {"resourceClaimTemplateName": entry.get("resourceClaimTemplateName")}
        yield {**(entry.get("resourceClaimJson") or template), "name": f"resource-{index}"}


def _resources(resources: ResourceSpec | None) -> Json:
    if resources is None:
        return {}
    gigabyte = 1_000_000_000
    limits = _amounts(
        cpu=resources.resource_cpu_limit or resources.cpu_limit,
        memory=resources.resource_memory_limit or round(resources.memory_limit * gigabyte),
    )
    requests = _amounts(
        cpu=resources.resource_cpu_request or resources.cpu_request,
        memory=resources.resource_memory_request or round(resources.memory_request * gigabyte),
    )
    if accelerator := resources.accelerator:
        kind = accelerator.resource_type or accelerator.type
        count = str(accelerator.resource_count or accelerator.count)
        if kind and count != "0":
            limits[kind] = count
    return {key: value for key, value in (("limits", limits), ("requests", requests)) if value}


def _amounts(**amounts: str | float) -> dict[str, str]:
    return {name: f"{value:g}" if isinstance(value, float) else str(value) for name, value in amounts.items() if value}


def _security_context(context: Mapping[str, Any]) -> Json:
    result: Json = {key: int(context[key]) for key in ("runAsUser", "runAsGroup") if key in context}
    if "runAsNonRoot" in context:
        result["runAsNonRoot"] = context["runAsNonRoot"]
    return result


# --- where the pod runs -----------------------------------------------------------------------------------


def _node_selector(settings: Mapping[str, Any]) -> Json:
    selector = settings.get("nodeSelector", {})
    return dict(selector.get("nodeSelectorJson") or selector.get("labels") or {})


def _tolerations(settings: Mapping[str, Any]) -> list[Json]:
    found: list[Json] = []
    for entry in settings.get("tolerations", ()):
        if given := entry.get("tolerationJson"):
            found.extend(given if isinstance(given, list) else [given])
        elif plain := {key: value for key, value in entry.items() if key != "tolerationJson"}:
            seconds = {"tolerationSeconds": int(plain["tolerationSeconds"])} if "tolerationSeconds" in plain else {}
            found.append({**plain, **seconds})
    return found


def _affinity(settings: Mapping[str, Any]) -> Json:
    nodes: Json = {}
    for entry in settings.get("nodeAffinity", ()):
        given = entry.get("nodeAffinityJson")
        if given:
            nodes.update(given)
            continue
        term = {key: entry[key] for key in ("matchExpressions", "matchFields") if entry.get(key)}
        if weight := entry.get("weight"):
            preferred = nodes.setdefault("preferredDuringSchedulingIgnoredDuringExecution", [])
            preferred.append({"weight": int(weight), "preference": term})
        elif term:
            required = nodes.setdefault("requiredDuringSchedulingIgnoredDuringExecution", {"nodeSelectorTerms": []})
            required["nodeSelectorTerms"].append(term)
    affinity: Json = {"nodeAffinity": nodes} if nodes else {}
    for entry in settings.get("podAffinity", ()):
        kind = affinity.setdefault("podAntiAffinity" if entry.get("anti") else "podAffinity", {})
        pod_term: Json = {"topologyKey": entry.get("topologyKey", ""), **_selector(entry, "Pod", "labelSelector")}
        pod_term |= _selector(entry, "Namespace", "namespaceSelector")
        if entry.get("namespaces"):
            pod_term["namespaces"] = list(entry["namespaces"])
        if weight := entry.get("weight"):
            weighted = {"weight": int(weight), "podAffinityTerm": pod_term}
            kind.setdefault("preferredDuringSchedulingIgnoredDuringExecution", []).append(weighted)
        else:
            kind.setdefault("requiredDuringSchedulingIgnoredDuringExecution", []).append(pod_term)
    return affinity


def _selector(entry: Mapping[str, Any], what: str, key: str) -> Json:
    labels, expressions = entry.get(f"match{what}Labels"), entry.get(f"match{what}Expressions")
    selector = {"matchLabels": labels} if labels else {}
    selector |= {"matchExpressions": expressions} if expressions else {}
    return {key: selector} if selector else {}


def _pull_secrets(settings: Mapping[str, Any]) -> list[Json]:
    return [{"name": _name(entry, "secret")} for entry in settings.get("imagePullSecret", ())]


_PLACEMENT: dict[str, Callable[[Mapping[str, Any]], Any]] = {
    "nodeSelector": _node_selector,
    "tolerations": _tolerations,
    "affinity": _affinity,
    "imagePullSecrets": _pull_secrets,
}
