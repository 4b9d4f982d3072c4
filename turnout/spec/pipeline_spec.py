"""KFP's PipelineSpec as frozen dataclasses, one for each message, one field for each field.

Source: `pipeline_spec.proto` of KFP 2.17 (package `ml_pipelines`). Names are the proto's, in snake
case; a nested message `A.B` is the class `B` where that is unambiguous. Presence follows proto3: a
message field that is absent is None, a scalar that is absent has its default, and a field of type
`google.protobuf.Value`, for which null is a value, is `ABSENT` when absent.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from turnout.spec.deployment_spec import PipelineDeploymentConfig
from turnout.spec.platform_spec import Json, SinglePlatformSpec
from turnout.spec.values import (
    ABSENT,
    ArtifactTypeSchema,
    ParameterType,
    PrimitiveType,
    TaskConfigPassthroughType,
    TriggerStrategy,
    ValueOrRuntimeParameter,
)

# --- the interface of a component -----------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class InputArtifactSpec:
    artifact_type: ArtifactTypeSchema | None = None
    is_artifact_list: bool = False
    is_optional: bool = False
    description: str = ""


@dataclass(frozen=True, kw_only=True)
class InputParameterSpec:
    type: PrimitiveType = PrimitiveType.UNSPECIFIED
    parameter_type: ParameterType = ParameterType.UNSPECIFIED
    default_value: Json = ABSENT
    is_optional: bool = False
    description: str = ""
    literals: list[Json] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class ComponentInputsSpec:
    artifacts: dict[str, InputArtifactSpec] = field(default_factory=dict)
    parameters: dict[str, InputParameterSpec] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class OutputArtifactSpec:
    artifact_type: ArtifactTypeSchema | None = None
    properties: dict[str, ValueOrRuntimeParameter] = field(default_factory=dict)
    custom_properties: dict[str, ValueOrRuntimeParameter] = field(default_factory=dict)
    metadata: dict[str, Json] | None = None
    is_artifact_list: bool = False
    description: str = ""


@dataclass(frozen=True, kw_only=True)
class OutputParameterSpec:
    type: PrimitiveType = PrimitiveType.UNSPECIFIED
    parameter_type: ParameterType = ParameterType.UNSPECIFIED
    description: str = ""


@dataclass(frozen=True, kw_only=True)
class ComponentOutputsSpec:
    artifacts: dict[str, OutputArtifactSpec] = field(default_factory=dict)
    parameters: dict[str, OutputParameterSpec] = field(default_factory=dict)


# --- a task in a dag ------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class TaskOutputArtifactSpec:
    producer_task: str = ""
    output_artifact_key: str = ""


@dataclass(frozen=True, kw_only=True)
class TaskOutputParameterSpec:
    producer_task: str = ""
    output_parameter_key: str = ""


@dataclass(frozen=True, kw_only=True)
class TaskFinalStatus:
    producer_task: str = ""


@dataclass(frozen=True, kw_only=True)
class TaskInputArtifactSpec:
    """`TaskInputsSpec.InputArtifactSpec`."""

    task_output_artifact: TaskOutputArtifactSpec | None = None
    component_input_artifact: str | None = None


@dataclass(frozen=True, kw_only=True)
class TaskInputParameterSpec:
    """`TaskInputsSpec.InputParameterSpec`."""

    task_output_parameter: TaskOutputParameterSpec | None = None
    runtime_value: ValueOrRuntimeParameter | None = None
    component_input_parameter: str | None = None
    task_final_status: TaskFinalStatus | None = None
    parameter_expression_selector: str = ""


@dataclass(frozen=True, kw_only=True)
class TaskInputsSpec:
    parameters: dict[str, TaskInputParameterSpec] = field(default_factory=dict)
    artifacts: dict[str, TaskInputArtifactSpec] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class PipelineTaskInfo:
    name: str = ""


@dataclass(frozen=True, kw_only=True)
class CachingOptions:
    enable_cache: bool = False
    cache_key: str = ""


@dataclass(frozen=True, kw_only=True)
class ComponentRef:
    name: str = ""


@dataclass(frozen=True, kw_only=True)
class TriggerPolicy:
    condition: str = ""
    strategy: TriggerStrategy = TriggerStrategy.UNSPECIFIED


@dataclass(frozen=True, kw_only=True)
class RetryPolicy:
    """Durations are protobuf's JSON form: seconds with the suffix `s`, such as `3600s`."""

    max_retry_count: int = 0
    backoff_duration: str | None = None
    backoff_factor: float = 0.0
    backoff_max_duration: str | None = None


@dataclass(frozen=True, kw_only=True)
class IteratorPolicy:
    parallelism_limit: int = 0


@dataclass(frozen=True, kw_only=True)
class ArtifactItemsSpec:
    """`ArtifactIteratorSpec.ItemsSpec`."""

    input_artifact: str = ""


@dataclass(frozen=True, kw_only=True)
class ArtifactIteratorSpec:
    items: ArtifactItemsSpec | None = None
    item_input: str = ""


@dataclass(frozen=True, kw_only=True)
class ParameterItemsSpec:
    """`ParameterIteratorSpec.ItemsSpec`; `raw` is a JSON list as text."""

    raw: str | None = None
    input_parameter: str | None = None


@dataclass(frozen=True, kw_only=True)
class ParameterIteratorSpec:
    items: ParameterItemsSpec | None = None
    item_input: str = ""


@dataclass(frozen=True, kw_only=True)
class PipelineTaskSpec:
    task_info: PipelineTaskInfo | None = None
    inputs: TaskInputsSpec | None = None
    dependent_tasks: list[str] = field(default_factory=list)
    caching_options: CachingOptions | None = None
    component_ref: ComponentRef | None = None
    trigger_policy: TriggerPolicy | None = None
    artifact_iterator: ArtifactIteratorSpec | None = None
    parameter_iterator: ParameterIteratorSpec | None = None
    retry_policy: RetryPolicy | None = None
    iterator_policy: IteratorPolicy | None = None


# --- a dag ------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class ArtifactSelectorSpec:
    producer_subtask: str = ""
    output_artifact_key: str = ""


@dataclass(frozen=True, kw_only=True)
class DagOutputArtifactSpec:
    artifact_selectors: list[ArtifactSelectorSpec] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class ParameterSelectorSpec:
    producer_subtask: str = ""
    output_parameter_key: str = ""


@dataclass(frozen=True, kw_only=True)
class ParameterSelectorsSpec:
    parameter_selectors: list[ParameterSelectorSpec] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class DagOutputParameterSpec:
    value_from_parameter: ParameterSelectorSpec | None = None
    value_from_oneof: ParameterSelectorsSpec | None = None


@dataclass(frozen=True, kw_only=True)
class DagOutputsSpec:
    artifacts: dict[str, DagOutputArtifactSpec] = field(default_factory=dict)
    parameters: dict[str, DagOutputParameterSpec] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class DagSpec:
    tasks: dict[str, PipelineTaskSpec] = field(default_factory=dict)
    outputs: DagOutputsSpec | None = None


# --- components and the pipeline ----------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class TaskConfigPassthrough:
    field: TaskConfigPassthroughType = TaskConfigPassthroughType.NONE
    apply_to_task: bool = False


@dataclass(frozen=True, kw_only=True)
class ComponentSpec:
    input_definitions: ComponentInputsSpec | None = None
    output_definitions: ComponentOutputsSpec | None = None
    dag: DagSpec | None = None
    executor_label: str | None = None
    single_platform_specs: list[SinglePlatformSpec] = field(default_factory=list)
    task_config_passthroughs: list[TaskConfigPassthrough] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class PipelineInfo:
    name: str = ""
    display_name: str = ""
    description: str = ""


@dataclass(frozen=True, kw_only=True)
class PipelineSpec:
    pipeline_info: PipelineInfo | None = None
    deployment_spec: PipelineDeploymentConfig | None = None
    sdk_version: str = ""
    schema_version: str = ""
    components: dict[str, ComponentSpec] = field(default_factory=dict)
    root: ComponentSpec | None = None
    default_pipeline_root: str = ""
