"""A cluster, by Kubernetes' own client: objects are applied, looked at and deleted. A ConfigMap keeps the release."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from turnout.errors import ComponentError
from turnout.serving.release import Release, next_release, release_from
from turnout.serving.targets.cluster_settings import ClusterSettings
from turnout.serving.targets.manifests import INSTANCE, MANAGED, Manifest, label, labels

_MANAGER = "turnout"
_REQUEST_S = 30.0
_TRIES = 5
_HISTORY = 100
"""Changes that are kept: a ConfigMap holds a megabyte."""

REMOVED = {
    "apps/v1": ("Deployment",),
    "v1": ("Service",),
    "policy/v1": ("PodDisruptionBudget",),
    "autoscaling/v2": ("HorizontalPodAutoscaler",),
    "keda.sh/v1alpha1": ("ScaledObject",),
}
"""What is deleted when its version is gone."""


class Cluster:
    """A namespace of a cluster.

    Raises:
        ComponentError: no cluster is known, or it does not answer.
    """

    def __init__(self, settings: ClusterSettings):
        from kubernetes import dynamic

        self.namespace = settings.namespace
        # The client's own place for what it finds out is a file that every user of the machine could have written.
        with self._told("the cluster cannot be reached"), tempfile.TemporaryDirectory() as directory:
            found = f"{directory}/kinds.json"
            self._client = dynamic.DynamicClient(_client(settings.context), found, dynamic.EagerDiscoverer)

    def apply(self, objects: Sequence[Manifest]) -> None:
        """Make objects as they are given, by server-side apply: what others have set beside that stays."""
        for made in objects:
            name = made["metadata"]["name"]
            with self._told(f"{made['kind']} {name} cannot be applied"):
                self.kind(made["apiVersion"], made["kind"]).server_side_apply(
                    body=made, name=name, namespace=self.namespace, field_manager=_MANAGER, force_conflicts=True,
                    _request_timeout=_REQUEST_S,
                )  # fmt: skip

    def get(self, api: str, kind: str, name: str) -> Manifest | None:
        """An object, None when there is none."""
        from kubernetes.dynamic.exceptions import NotFoundError

        with self._told(f"{kind} {name} cannot be read"):
            try:
                kinds = self.kind(api, kind)
                found: Manifest = kinds.get(name, self.namespace, _request_timeout=_REQUEST_S).to_dict()
            except NotFoundError:
                return None
        return found

    def delete(self, api: str, kind: str, name: str) -> None:
        from kubernetes.dynamic.exceptions import NotFoundError

        with self._told(f"{kind} {name} cannot be deleted"), contextlib.suppress(NotFoundError):
            self.kind(api, kind).delete(name, self.namespace, _request_timeout=_REQUEST_S)

    def prune(self, model: str, kept: Sequence[Manifest]) -> None:
        """Delete what was made for versions of a model and is not among what is kept."""
        from kubernetes.dynamic.exceptions import NotFoundError, ResourceNotFoundError

        names = {(made["kind"], made["metadata"]["name"]) for made in kept}
        marks = {**MANAGED, INSTANCE: label(model)}
        selector = ",".join(f"{name}={value}" for name, value in marks.items())
        for api, kinds in REMOVED.items():
            for kind in kinds:
                with self._told(f"{kind} cannot be listed"):
                    try:
                        found = self.kind(api, kind).get(
                            namespace=self.namespace, label_selector=selector, _request_timeout=_REQUEST_S
                        )
                    except (NotFoundError, ResourceNotFoundError):  # KEDA is not everywhere
                        continue
                for item in found.items:
                    if (kind, item.metadata.name) not in names:
                        self.delete(api, kind, item.metadata.name)

    def kind(self, api: str, kind: str) -> Any:
        """The client of a kind of objects."""
        return self._client.resources.get(api_version=api, kind=kind)

    @contextlib.contextmanager
    def _told(self, what: str) -> Iterator[None]:
        import urllib3
        from kubernetes.client import ApiException
        from kubernetes.config import ConfigException
        from kubernetes.dynamic.exceptions import DynamicApiError, NotFoundError, ResourceNotFoundError

        try:
            yield
        except NotFoundError:
            raise
        except ResourceNotFoundError as error:
            hint = "install what brings this kind into the cluster (Gateway API, KEDA, KServe), or change the settings"
            raise ComponentError(f"{what}: {error}", where=self.namespace, hint=hint) from error
        except (ConfigException, urllib3.exceptions.HTTPError, OSError) as error:
            hint = "is KUBECONFIG right, and the cluster up? kubectl get namespaces"
            raise ComponentError(f"{what}: {error}", where=self.namespace, hint=hint) from error
        except (ApiException, DynamicApiError) as error:
            hint = "may this account do that there? kubectl auth can-i"
            if error.status not in (401, 403):
                hint = "does the cluster know the fields that it names? turnout serve manifests prints what it is told"
            raise ComponentError(f"{what}: {_reason(error)}", where=self.namespace, hint=hint) from error


class ClusterState:
    """What shall be served of a model on a cluster, and its history, in a ConfigMap."""

    def __init__(self, cluster: Cluster, model: str):
        self.cluster, self.model = cluster, model
        self.name = f"turnout-{label(model)}"

    def read(self) -> Release | None:
        """What shall be served; None when nobody has said."""
        return self._read()[0]

    def history(self) -> list[Release]:
        """What was in force, from the oldest on."""
        return self._read()[1]

    def change(self, make: Callable[[Release | None], Release], who: str, why: str) -> Release:
        """Change what shall be served, and note it; as `State.change`. Two at once: the second sees the first's."""
        from kubernetes.dynamic.exceptions import ConflictError

        for left in reversed(range(_TRIES)):
            before, history, found = self._read()
            made = next_release(before, make(before), who, why)
            if made is before:
                return made
            lines = [json.dumps(dataclasses.asdict(item)) for item in [*history, made][-_HISTORY:]]
            try:
                self._write(found, {"release.json": lines[-1], "history.jsonl": "\n".join(lines) + "\n"})
            except ConflictError:
                if left:
                    continue
                hint = "somebody else changes it all the time; try again"
                raise ComponentError("what shall be served cannot be written", where=self.name, hint=hint) from None
            return made
        raise AssertionError

    def _read(self) -> tuple[Release | None, list[Release], Manifest | None]:
        found = self.cluster.get("v1", "ConfigMap", self.name)
        data = (found or {}).get("data") or {}
        history = [release_from(line, self.name) for line in data.get("history.jsonl", "").splitlines() if line]
        text = data.get("release.json", "")
        return (release_from(text, self.name) if text else None), history, found

    def _write(self, found: Manifest | None, data: dict[str, str]) -> None:
        kinds = self.cluster.kind("v1", "ConfigMap")
        metadata: Manifest = {"name": self.name, "labels": labels(self.model)}
        body: Manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}
        options = {"namespace": self.cluster.namespace, "_request_timeout": _REQUEST_S}
        if found is None:
            kinds.create(body=body, **options)  # Conflict, when another has made it meanwhile
            return
        metadata["resourceVersion"] = found["metadata"]["resourceVersion"]
        kinds.replace(body=body, name=self.name, **options)


def _client(context: str) -> Any:
    """As kubectl finds the cluster, or from within a pod."""
    from kubernetes import client, config

    configuration = client.Configuration()
    try:
        config.load_kube_config(os.environ.get("KUBECONFIG"), context or None, configuration, persist_config=False)
    except config.ConfigException:
        if context:
            raise
        config.load_incluster_config(client_configuration=configuration)
    return client.ApiClient(configuration)


def _reason(error: Any) -> str:
    """What the API server says, without its headers."""
    with contextlib.suppress(ValueError, TypeError, LookupError):
        return str(json.loads(error.body)["message"])
    return f"{error.status} {error.reason}"
