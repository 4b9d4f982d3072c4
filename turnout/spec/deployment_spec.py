"""`PipelineDeploymentConfig`: what runs when a component runs. Source: as `turnout.spec.pipeline_spec`."""

from __future__ import annotations

from dataclasses import dataclass, field

from turnout.spec.platform_spec import Json
from turnout.spec.values import ArtifactTypeSchema, ValueOrRuntimeParameter


@dataclass(frozen=True, kw_only=True)
class Exec:
    command: list[str] = field(default_factory=list)
    args: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Lifecycle:
    pre_cache_check: Exec | None = None


@dataclass(frozen=True, kw_only=True)
class AcceleratorConfig:
    """`count` is a 64-bit integer, which protobuf's JSON form writes as text; kept as it was written."""

    type: str = ""
    count: Json = 0
    resource_type: str = ""
    resource_count: str = ""


@dataclass(frozen=True, kw_only=True)
class ResourceSpec:
    cpu_limit: float = 0.0
    memory_limit: float = 0.0
    cpu_request: float = 0.0
    memory_request: float = 0.0
    resource_cpu_limit: str = ""
    resource_memory_limit: str = ""
    resource_cpu_request: str = ""
    resource_memory_request: str = ""
    accelerator: AcceleratorConfig | None = None


@dataclass(frozen=True, kw_only=True)
class EnvVar:
    name: str = ""
    value: str = ""


@dataclass(frozen=True, kw_only=True)
class PipelineContainerSpec:
    image: str = ""
    command: list[str] = field(default_factory=list)
    args: list[str] = field(default_factory=list)
    lifecycle: Lifecycle | None = None
    resources: ResourceSpec | None = None
    env: list[EnvVar] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class ImporterSpec:
    artifact_uri: ValueOrRuntimeParameter | None = None
    type_schema: ArtifactTypeSchema | None = None
    properties: dict[str, ValueOrRuntimeParameter] = field(default_factory=dict)
    custom_properties: dict[str, ValueOrRuntimeParameter] = field(default_factory=dict)
    reimport: bool = False
    metadata: dict[str, Json] | None = None
    download_to_workspace: bool = False


@dataclass(frozen=True, kw_only=True)
class ArtifactQuerySpec:
    filter: str = ""
    limit: int = 0


@dataclass(frozen=True, kw_only=True)
class ResolverSpec:
    output_artifact_queries: dict[str, ArtifactQuerySpec] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class AIPlatformCustomJobSpec:
    custom_job: dict[str, Json] | None = None


@dataclass(frozen=True, kw_only=True)
class ExecutorSpec:
    container: PipelineContainerSpec | None = None
    importer: ImporterSpec | None = None
    resolver: ResolverSpec | None = None
    custom_job: AIPlatformCustomJobSpec | None = None


@dataclass(frozen=True, kw_only=True)
class PipelineDeploymentConfig:
    executors: dict[str, ExecutorSpec] = field(default_factory=dict)
