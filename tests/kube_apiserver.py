"""A real API server of Kubernetes with its etcd, and no controllers: nothing runs in it, and it decides what it takes.

Its binaries are looked for where controller-runtime's tests look: in the directory KUBEBUILDER_ASSETS, which
`setup-envtest use --print path` fills and names.
"""

from __future__ import annotations

import contextlib
import functools
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from kube_config import kube_config
from waiting import free_ports, wait

ASSETS = os.environ.get("KUBEBUILDER_ASSETS", "")
ADMIN, USER = "admin", "turnout"


@dataclass
class Server:
    """The server's address, and where its users' kubectl configurations are.

    Attributes:
        address: base URL.
        directory: with a file for each user.
    """

    address: str
    directory: Path

    def config(self, user: str) -> Path:
        """What KUBECONFIG names for a user."""
        path = self.directory / f"{user}.yaml"
        path.write_text(yaml.safe_dump(kube_config(self.address, f"token-of-{user}")))
        return path

    def client(self, user: str = ADMIN) -> Any:
        from kubernetes import client, config

        found = client.Configuration()
        config.load_kube_config(str(self.config(user)), client_configuration=found)
        return client.ApiClient(found)

    def bring(self, kinds: dict[str, tuple[str, ...]]) -> None:
        """Define the kinds that this server does not have, without a schema."""
        from kubernetes import client

        api = self.client()
        extensions = client.ApiextensionsV1Api(api)
        for version, names in kinds.items():
            group, _, name = version.rpartition("/")
            there = self._kinds(api, version)
            for kind in (kind for kind in names if kind not in there):
                plural = f"{kind.lower()}s"
                schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
                body = {
                    "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
                    "metadata": {"name": f"{plural}.{group}",
                                 "annotations": {"api-approved.kubernetes.io": "unapproved, for a test"}},
                    "spec": {
                        "group": group, "scope": "Namespaced", "names": {"kind": kind, "plural": plural},
                        "versions": [{"name": name, "served": True, "storage": True, "subresources": {"status": {}},
                                      "schema": {"openAPIV3Schema": schema}}],
                    },
                }  # fmt: skip
                extensions.create_custom_resource_definition(body)
            wait(functools.partial(self._has, api, version, names), f"the kinds of {version}", 20)

    def _has(self, api: Any, version: str, names: tuple[str, ...]) -> bool:
        return {*names} <= self._kinds(api, version)

    @staticmethod
    def _kinds(api: Any, version: str) -> set[str]:
        from kubernetes.client import ApiException

        path = f"/apis/{version}" if "/" in version else f"/api/{version}"
        try:
            found = api.call_api(path, "GET", response_type="object", auth_settings=["BearerToken"])[0]
        except ApiException:
            return set()
        return {item["kind"] for item in found["resources"]}

    @contextlib.contextmanager
    def controlled(self, api_version: str, kind: str, status: Callable[[Any], Any]) -> Iterator[None]:
        """Someone who writes the status of each object of a kind meanwhile, as its controller would."""
        from kubernetes import dynamic
        from kubernetes.dynamic.exceptions import NotFoundError

        kinds = dynamic.DynamicClient(self.client()).resources.get(api_version=api_version, kind=kind)
        stop = threading.Event()

        def control() -> None:
            while not stop.wait(0.05):
                for item in kinds.get().items:
                    made = item.to_dict()
                    name, namespace, generation = (made["metadata"][key] for key in ("name", "namespace", "generation"))
                    if (made.get("status") or {}).get("observedGeneration") == generation:
                        continue
                    body = {"apiVersion": api_version, "kind": kind, "metadata": {"name": name}}
                    body["status"] = {"observedGeneration": generation, **status(made)}
                    merge = "application/merge-patch+json"
                    with contextlib.suppress(NotFoundError):
                        kinds.status.patch(body=body, name=name, namespace=namespace, content_type=merge)

        thread = threading.Thread(target=control, daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()


@contextlib.contextmanager
def running(directory: Path) -> Iterator[Server]:
    """The server and its etcd, on loopback, with roles in force."""
    programs = Path(ASSETS)
    etcd_port, peer_port, port = free_ports(3)
    etcd, peer = f"http://127.0.0.1:{etcd_port}", f"http://127.0.0.1:{peer_port}"
    key = directory / "accounts.key"
    subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, capture_output=True)
    tokens = directory / "tokens.csv"
    tokens.write_text(f'token-of-{ADMIN},{ADMIN},1,"system:masters"\ntoken-of-{USER},{USER},2\n')
    options: dict[str, dict[str, object]] = {
        "etcd": {
            "data-dir": directory / "etcd",
            "listen-client-urls": etcd,
            "advertise-client-urls": etcd,
            "listen-peer-urls": peer,
            "initial-advertise-peer-urls": peer,
            "initial-cluster": f"default={peer}",
        },
        "kube-apiserver": {
            "etcd-servers": etcd,
            "secure-port": port,
            "bind-address": "127.0.0.1",
            "cert-dir": directory / "certificates",
            "token-auth-file": tokens,
            "authorization-mode": "RBAC",
            "service-account-issuer": "https://127.0.0.1",
            "service-account-key-file": key,
            "service-account-signing-key-file": key,
            "disable-admission-plugins": "ServiceAccount",
            "service-cluster-ip-range": "10.0.0.0/24",
        },
    }
    server = Server(f"https://127.0.0.1:{port}", directory)
    started = []
    try:
        for program, given in options.items():
            command = [str(programs / program), *(f"--{name}={value}" for name, value in given.items())]
            log = (directory / f"{program}.log").open("wb")
            started.append(subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT))
        wait(lambda: _answers(server), "the API server", 30)
        yield server
    finally:
        for process in reversed(started):
            process.terminate()
            process.wait(60)


def _answers(server: Server) -> bool:
    import urllib3
    from kubernetes import client

    try:
        namespaces = client.CoreV1Api(server.client()).list_namespace(_request_timeout=5).items
    except (client.ApiException, urllib3.exceptions.HTTPError):
        return False
    return "default" in {item.metadata.name for item in namespaces}
