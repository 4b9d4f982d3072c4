"""The values and types that PipelineSpec's messages are made of."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from turnout.spec.platform_spec import Json


class _Absent(enum.Enum):
    ABSENT = "absent"

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT = _Absent.ABSENT


class ParameterType(enum.StrEnum):
    """`ParameterType.ParameterTypeEnum`."""

    UNSPECIFIED = "PARAMETER_TYPE_ENUM_UNSPECIFIED"
    NUMBER_DOUBLE = "NUMBER_DOUBLE"
    NUMBER_INTEGER = "NUMBER_INTEGER"
    STRING = "STRING"
    BOOLEAN = "BOOLEAN"
    LIST = "LIST"
    STRUCT = "STRUCT"
    TASK_FINAL_STATUS = "TASK_FINAL_STATUS"
    TASK_CONFIG = "TASK_CONFIG"


class PrimitiveType(enum.StrEnum):
    """`PrimitiveType.PrimitiveTypeEnum`, deprecated by `ParameterType`."""

    UNSPECIFIED = "PRIMITIVE_TYPE_UNSPECIFIED"
    INT = "INT"
    DOUBLE = "DOUBLE"
    STRING = "STRING"


class TriggerStrategy(enum.StrEnum):
    """`PipelineTaskSpec.TriggerPolicy.TriggerStrategy`."""

    UNSPECIFIED = "TRIGGER_STRATEGY_UNSPECIFIED"
    ALL_UPSTREAM_TASKS_SUCCEEDED = "ALL_UPSTREAM_TASKS_SUCCEEDED"
    ALL_UPSTREAM_TASKS_COMPLETED = "ALL_UPSTREAM_TASKS_COMPLETED"


class TaskConfigPassthroughType(enum.StrEnum):
    """`TaskConfigPassthroughType.TaskConfigPassthroughTypeEnum`."""

    NONE = "NONE"
    RESOURCES = "RESOURCES"
    ENV = "ENV"
    KUBERNETES_AFFINITY = "KUBERNETES_AFFINITY"
    KUBERNETES_TOLERATIONS = "KUBERNETES_TOLERATIONS"
    KUBERNETES_NODE_SELECTOR = "KUBERNETES_NODE_SELECTOR"
    KUBERNETES_VOLUMES = "KUBERNETES_VOLUMES"


@dataclass(frozen=True, kw_only=True)
class Value:
    int_value: int | None = None
    double_value: float | None = None
    string_value: str | None = None


@dataclass(frozen=True, kw_only=True)
class ValueOrRuntimeParameter:
    constant_value: Value | None = None
    runtime_parameter: str | None = None
    constant: Json = ABSENT

    @property
    def known(self) -> Json:
        """The value, where it is one: `constant`, or `constant_value`, its older form; else ABSENT."""
        if self.constant is not ABSENT or self.constant_value is None:
            return self.constant
        older = self.constant_value
        values = (older.string_value, older.int_value, older.double_value)
        return next((value for value in values if value is not None), ABSENT)


@dataclass(frozen=True, kw_only=True)
class ArtifactTypeSchema:
    schema_title: str | None = None
    schema_uri: str | None = None
    instance_schema: str | None = None
    schema_version: str = ""
