"""kfp-kubernetes' settings of steps, held against its own message: the spec has them as free-form mappings."""

from __future__ import annotations

from collections.abc import Iterator

from turnout.errors import Fault
from turnout.spec.document import Document


def kubernetes_faults(document: Document) -> Iterator[Fault]:
    """Settings of another shape than the message has, with their places."""
    single = document.platform.platforms.get("kubernetes") if document.platform else None
    executors = single.deployment_spec.executors if single and single.deployment_spec else {}
    if not executors:
        return
    from google.protobuf import json_format
    from kfp.kubernetes.kubernetes_executor_config_pb2 import KubernetesExecutorConfig

    for label, settings in executors.items():
        try:
            # Fields of a newer kfp-kubernetes are refused by each track, by name.
            json_format.ParseDict(settings, KubernetesExecutorConfig(), ignore_unknown_fields=True)
        except json_format.ParseError as error:
            reason = str(error).partition("\n")[0].rstrip(".")
            where = f"{document.name}.platforms.kubernetes.deploymentSpec.executors.{label}"
            yield Fault(f"no settings of kfp-kubernetes: {reason}", where)
