"""Facts that no shape states, each with what states it: in a small document, alone or with the others.

A shape is a pipeline that KFP's SDK can write; these are fields that it writes seldom, or never.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

EXECUTOR = "deploymentSpec.executors.exec-read.container"
IMPORTER = "deploymentSpec.executors.exec-import.importer"
SETTINGS = "platforms.kubernetes.deploymentSpec.executors.exec-read"
POD = "platforms.kubernetes.pipelineConfig"
REPORT = "components.comp-read.outputDefinitions.artifacts.report"
TASK = "root.dag.tasks.read"

BASE: dict[str, Any] = {
    "pipelineInfo": {"name": "facts"},
    "schemaVersion": "2.1.0",
    "sdkVersion": "kfp-2.17.0",
    "root": {
        "dag": {
            "outputs": {
                "parameters": {
                    "text": {"valueFromParameter": {"producerSubtask": "read", "outputParameterKey": "Output"}}
                }
            },
            "tasks": {
                "import": {"componentRef": {"name": "comp-import"}},
                "read": {
                    "cachingOptions": {"enableCache": True},
                    "componentRef": {"name": "comp-read"},
                    "dependentTasks": ["import"],
                    "inputs": {
                        "artifacts": {
                            "data": {"taskOutputArtifact": {"producerTask": "import", "outputArtifactKey": "artifact"}}
                        },
                        "parameters": {"text": {"runtimeValue": {"constant": "plain"}}},
                    },
                },
            },
        }
    },
    "components": {
        "comp-import": {
            "executorLabel": "exec-import",
            "outputDefinitions": {"artifacts": {"artifact": {"artifactType": {"schemaTitle": "system.Artifact"}}}},
        },
        "comp-read": {
            "executorLabel": "exec-read",
            "inputDefinitions": {
                "artifacts": {"data": {"artifactType": {"schemaTitle": "system.Artifact"}}},
                "parameters": {
                    "text": {"parameterType": "STRING"},
                    "count": {"parameterType": "NUMBER_INTEGER", "isOptional": True},
                    "ratio": {"parameterType": "NUMBER_DOUBLE", "isOptional": True},
                },
            },
            "outputDefinitions": {
                "artifacts": {"report": {"artifactType": {"schemaTitle": "system.HTML"}}},
                "parameters": {"Output": {"parameterType": "STRING"}},
            },
        },
    },
    "deploymentSpec": {
        "executors": {
            "exec-import": {
                "importer": {
                    "artifactUri": {"constant": "memory://there/is/nothing"},
                    "typeSchema": {"schemaTitle": "system.Artifact"},
                }
            },
            "exec-read": {
                "container": {
                    "image": "python:3.11",
                    "command": [
                        "sh",
                        "-c",
                        'mkdir -p "$(dirname "$0")" && printf "%s " "$@" > "$0"',
                        "{{$.outputs.parameters['Output'].output_file}}",
                        "{{$.inputs.parameters['text']}}",
                        "{{$.inputs.parameters['count']}}",
                        "{{$.inputs.parameters['ratio']}}",
                        "{{$.outputs.artifacts['report'].metadata}}",
                    ],
                }
            },
        }
    },
}
"""A pipeline whose output is what it is given, and the metadata that an artifact is declared to have."""

OUTPUT = 'seven 8 0.5 {"unit": "hours"} '
"""The output when all of `STATED` is stated."""

# Kind of fact: where it is stated (a place in the document), and as what.
STATED: dict[str, tuple[str, Any]] = {
    "ArtifactTypeSchema.instance_schema": (
        "components.comp-read.inputDefinitions.artifacts.data.artifactType",
        {"instanceSchema": "title: text"},
    ),
    "ArtifactTypeSchema.schema_uri": (
        "components.comp-import.outputDefinitions.artifacts.artifact.artifactType",
        {"schemaUri": "gs://schemas/artifact.yaml"},
    ),
    "CachingOptions.cache_key": (f"{TASK}.cachingOptions.cacheKey", "mine"),
    "ImporterSpec.download_to_workspace": (f"{IMPORTER}.downloadToWorkspace", True),
    "InputParameterSpec.literals": ("components.comp-read.inputDefinitions.parameters.text.literals", ["seven", "8"]),
    "OutputArtifactSpec.description": (f"{REPORT}.description", "A report."),
    "OutputArtifactSpec.metadata": (f"{REPORT}.metadata", {"unit": "hours"}),
    "OutputParameterSpec.description": (
        "components.comp-read.outputDefinitions.parameters.Output.description",
        "What was read.",
    ),
    "PipelineContainerSpec.resources": (
        f"{EXECUTOR}.resources",
        {
            "cpuLimit": 1.0,
            "cpuRequest": 0.5,
            "memoryLimit": 0.2,
            "memoryRequest": 0.1,
            "resourceCpuLimit": "1",
            "resourceCpuRequest": "500m",
            "resourceMemoryLimit": "200Mi",
            "resourceMemoryRequest": "100Mi",
            "accelerator": {
                "type": "nvidia.com/gpu",
                "count": "1",
                "resourceType": "nvidia.com/gpu",
                "resourceCount": "1",
            },
        },
    ),
    "PipelineInfo.display_name": ("pipelineInfo.displayName", "All facts"),
    "PipelineInfo.description": ("pipelineInfo.description", "States what is stated seldom."),
    "PipelineSpec.default_pipeline_root": ("defaultPipelineRoot", "gs://bucket/root"),
    "ValueOrRuntimeParameter.constant_value": (
        f"{TASK}.inputs.parameters.text.runtimeValue",
        {"constantValue": {"stringValue": "seven"}},
    ),
    "Value.int_value": (f"{TASK}.inputs.parameters.count.runtimeValue", {"constantValue": {"intValue": "8"}}),
    "Value.double_value": (f"{TASK}.inputs.parameters.ratio.runtimeValue", {"constantValue": {"doubleValue": 0.5}}),
    "SinglePlatformSpec.platform": ("platforms.kubernetes.platform", "kubernetes"),
    "SinglePlatformSpec.config": ("platforms.airflow.config", {"tags": ["facts"]}),
    "PipelineConfig.resource_ttl_on_completion": (f"{POD}.resourceTtlOnCompletion", 60),
    "PipelineConfig.resource_ttl_on_success": (f"{POD}.resourceTtlOnSuccess", 60),
    "PipelineConfig.resource_ttl_on_failure": (f"{POD}.resourceTtlOnFailure", 60),
    "PipelineConfig.active_deadline_seconds": (f"{POD}.activeDeadlineSeconds", 3600),
    "kubernetes.nodeSelector": (f"{SETTINGS}.nodeSelector", {"labels": {"disk": "fast"}}),
    "kubernetes.tolerations": (f"{SETTINGS}.tolerations", [{"key": "gpu", "operator": "Exists"}]),
    "kubernetes.nodeAffinity": (
        f"{SETTINGS}.nodeAffinity",
        [{"matchExpressions": [{"key": "gpu", "operator": "Exists"}]}],
    ),
    "kubernetes.podAffinity": (f"{SETTINGS}.podAffinity", [{"topologyKey": "zone", "matchPodLabels": {"a": "b"}}]),
    "kubernetes.imagePullPolicy": (f"{SETTINGS}.imagePullPolicy", "IfNotPresent"),
    "kubernetes.imagePullSecret": (f"{SETTINGS}.imagePullSecret", [{"secretName": "registry"}]),
    "kubernetes.podMetadata": (f"{SETTINGS}.podMetadata", {"labels": {"team": "data"}}),
    "kubernetes.securityContext": (f"{SETTINGS}.securityContext", {"runAsUser": "1000"}),
    "kubernetes.enabledSharedMemory": (f"{SETTINGS}.enabledSharedMemory", {"volumeName": "shm", "size": "1Gi"}),
}

GAPS: dict[str, tuple[str, Any]] = {
    "InputParameterSpec.type": ("components.comp-read.inputDefinitions.parameters.text.type", "STRING"),
    "OutputParameterSpec.type": ("components.comp-read.outputDefinitions.parameters.Output.type", "STRING"),
    "OutputArtifactSpec.properties": (f"{REPORT}.properties", {"unit": {"constant": "hours"}}),
    "OutputArtifactSpec.custom_properties": (f"{REPORT}.customProperties", {"unit": {"constant": "hours"}}),
    "ImporterSpec.properties": (f"{IMPORTER}.properties", {"unit": {"constant": "hours"}}),
    "ImporterSpec.custom_properties": (f"{IMPORTER}.customProperties", {"unit": {"constant": "hours"}}),
    "PipelineContainerSpec.lifecycle": (
        f"{EXECUTOR}.lifecycle",
        {"preCacheCheck": {"command": ["true"], "args": ["x"]}},
    ),
    "ExecutorSpec.resolver": (
        "deploymentSpec.executors.exec-import",
        {"resolver": {"outputArtifactQueries": {"artifact": {"filter": "x", "limit": 1}}}},
    ),
    "ExecutorSpec.custom_job": ("deploymentSpec.executors.exec-import", {"customJob": {"customJob": {"a": 1}}}),
    "ComponentSpec.single_platform_specs": (
        "components.comp-read.singlePlatformSpecs",
        [{"platform": "kubernetes", "config": {"a": 1}}],
    ),
    "ComponentSpec.task_config_passthroughs": (
        "components.comp-read.taskConfigPassthroughs",
        [{"field": "RESOURCES", "applyToTask": True}],
    ),
    "PipelineConfig.workspace": (f"{POD}.workspace", {"size": "1Gi"}),
    "kubernetes.secretAsVolume": (f"{SETTINGS}.secretAsVolume", [{"secretName": "keys", "mountPath": "/keys"}]),
    "kubernetes.configMapAsVolume": (f"{SETTINGS}.configMapAsVolume", [{"configMapName": "c", "mountPath": "/c"}]),
    "kubernetes.pvcMount": (f"{SETTINGS}.pvcMount", [{"constant": "disk", "mountPath": "/data"}]),
    "kubernetes.CreatePVC": (f"{EXECUTOR}.image", "argostub/createpvc"),
    "kubernetes.DeletePVC": (f"{EXECUTOR}.image", "argostub/deletepvc"),
    "kubernetes.emptyDirMounts": (f"{SETTINGS}.emptyDirMounts", [{"volumeName": "e", "mountPath": "/e"}]),
    "kubernetes.genericEphemeralVolume": (
        f"{SETTINGS}.genericEphemeralVolume",
        [{"volumeName": "v", "mountPath": "/v", "size": "1Gi", "accessModes": ["ReadWriteOnce"]}],
    ),
    "kubernetes.initContainers": (f"{SETTINGS}.initContainers", [{"name": "first", "image": "busybox"}]),
    "kubernetes.podResourceClaims": (f"{SETTINGS}.podResourceClaims", [{"resourceClaimTemplateName": "gpus"}]),
    "kubernetes.fieldPathAsEnv": (f"{SETTINGS}.fieldPathAsEnv", [{"name": "A", "fieldPath": "metadata.name"}]),
}
"""What some track, or some runtime of it, refuses."""


def documents(stated: Mapping[str, tuple[str, Any]]) -> list[dict[str, Any]]:
    """The two documents of a pipeline that states some facts, in protobuf's JSON form."""
    spec, platforms = copy.deepcopy(BASE), {"platforms": {"kubernetes": {}}}
    for place, value in copy.deepcopy(list(stated.values())):
        *path, name = place.split(".")
        node: dict[str, Any] = platforms if path and path[0] == "platforms" else spec
        for key in path:
            node = node.setdefault(key, {})
        node[name] = value
    return [spec, platforms]


def every_fact() -> list[dict[str, Any]]:
    """The documents that state all of `STATED`."""
    return documents(STATED)


def gap(kind: str) -> list[dict[str, Any]]:
    """The documents that state one of `GAPS`."""
    return documents({kind: GAPS[kind]})
