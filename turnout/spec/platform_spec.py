"""The second document of a KFP YAML file: what a pipeline asks of the platforms it runs on.

Source: `PlatformSpec` in `pipeline_spec.proto` of KFP 2.17. The facts of a step are free-form there
(`Struct`): the `kubernetes` platform's are kfp-kubernetes', the `airflow` platform's are Turnout's.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Json = Any
"""A JSON value: `google.protobuf.Value`, or `Struct` where it is an object."""


@dataclass(frozen=True, kw_only=True)
class PlatformDeploymentConfig:
    executors: dict[str, dict[str, Json]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class KubernetesWorkspaceConfig:
    pvc_spec_patch: dict[str, Json] | None = None


@dataclass(frozen=True, kw_only=True)
class WorkspaceConfig:
    size: str = ""
    kubernetes: KubernetesWorkspaceConfig | None = None


@dataclass(frozen=True, kw_only=True)
class PipelineConfig:
    """Times are whole seconds."""

    resource_ttl_on_completion: int = 0
    workspace: WorkspaceConfig | None = None
    resource_ttl_on_success: int = 0
    resource_ttl_on_failure: int = 0
    active_deadline_seconds: int = 0


@dataclass(frozen=True, kw_only=True)
class SinglePlatformSpec:
    deployment_spec: PlatformDeploymentConfig | None = None
    platform: str = ""
    config: dict[str, Json] | None = None
    pipeline_config: PipelineConfig | None = None


@dataclass(frozen=True, kw_only=True)
class PlatformSpec:
    platforms: dict[str, SinglePlatformSpec] = field(default_factory=dict)
