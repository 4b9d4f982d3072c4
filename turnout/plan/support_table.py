"""What the plan and the launcher do with each field of PipelineSpec; tracks and runtimes say where they differ."""

from __future__ import annotations

from turnout.plan.support import KEPT, Support, lowered, refused

_NOTE = lowered("a note for who reads the YAML")
_UNTYPED = lowered("an artifact of none of KFP's types is a system.Artifact")
_OLD = refused("the form of an older KFP: compile the pipeline again with kfp>=2", "never")
_PROPERTIES = refused("deprecated, and ignored by KFP's launcher: write it as metadata", "never")
_LIFECYCLE = refused("KFP's launcher does not know it either", "notyet")
_RESOLVER = refused("KFP itself has no resolver either; import the artifact by its URI", "notyet")
_CUSTOM_JOB = refused("a job of Vertex AI; compile with --track kfp and run it there", "never")
_PASSTHROUGH = refused("there is no pod whose settings a step could pass on", "never")

FIELDS: dict[str, Support] = {
    # InputArtifactSpec
    "InputArtifactSpec.artifact_type": lowered("types of artifacts are compared when the pipeline is written"),
    "InputArtifactSpec.is_artifact_list": lowered("each input is handed over as a list, as the ExecutorInput has it"),
    "InputArtifactSpec.is_optional": KEPT,
    "InputArtifactSpec.description": _NOTE,
    # InputParameterSpec
    "InputParameterSpec.type": _OLD,
    "InputParameterSpec.parameter_type": KEPT,
    "InputParameterSpec.default_value": KEPT,
    "InputParameterSpec.is_optional": KEPT,
    "InputParameterSpec.description": KEPT,
    "InputParameterSpec.literals": KEPT,
    # ComponentInputsSpec
    "ComponentInputsSpec.artifacts": KEPT,
    "ComponentInputsSpec.parameters": KEPT,
    # OutputArtifactSpec
    "OutputArtifactSpec.artifact_type": KEPT,
    "OutputArtifactSpec.properties": _PROPERTIES,
    "OutputArtifactSpec.custom_properties": _PROPERTIES,
    "OutputArtifactSpec.metadata": KEPT,
    "OutputArtifactSpec.is_artifact_list": lowered("a loop's artifacts are collected as a list"),
    "OutputArtifactSpec.description": _NOTE,
    # OutputParameterSpec
    "OutputParameterSpec.type": _OLD,
    "OutputParameterSpec.parameter_type": KEPT,
    "OutputParameterSpec.description": _NOTE,
    # ComponentOutputsSpec
    "ComponentOutputsSpec.artifacts": KEPT,
    "ComponentOutputsSpec.parameters": KEPT,
    # TaskOutputArtifactSpec
    "TaskOutputArtifactSpec.producer_task": KEPT,
    "TaskOutputArtifactSpec.output_artifact_key": KEPT,
    # TaskOutputParameterSpec
    "TaskOutputParameterSpec.producer_task": KEPT,
    "TaskOutputParameterSpec.output_parameter_key": KEPT,
    # TaskFinalStatus
    "TaskFinalStatus.producer_task": KEPT,
    # TaskInputArtifactSpec
    "TaskInputArtifactSpec.task_output_artifact": KEPT,
    "TaskInputArtifactSpec.component_input_artifact": KEPT,
    # TaskInputParameterSpec
    "TaskInputParameterSpec.task_output_parameter": KEPT,
    "TaskInputParameterSpec.runtime_value": KEPT,
    "TaskInputParameterSpec.component_input_parameter": KEPT,
    "TaskInputParameterSpec.task_final_status": KEPT,
    "TaskInputParameterSpec.parameter_expression_selector": KEPT,
    # TaskInputsSpec
    "TaskInputsSpec.parameters": KEPT,
    "TaskInputsSpec.artifacts": KEPT,
    # PipelineTaskInfo
    "PipelineTaskInfo.name": KEPT,
    # CachingOptions
    "CachingOptions.enable_cache": KEPT,
    "CachingOptions.cache_key": KEPT,
    # ComponentRef
    "ComponentRef.name": KEPT,
    # TriggerPolicy
    "TriggerPolicy.condition": KEPT,
    "TriggerPolicy.strategy": KEPT,
    # RetryPolicy
    "RetryPolicy.max_retry_count": KEPT,
    "RetryPolicy.backoff_duration": KEPT,
    "RetryPolicy.backoff_factor": KEPT,
    "RetryPolicy.backoff_max_duration": KEPT,
    # IteratorPolicy
    "IteratorPolicy.parallelism_limit": KEPT,
    # ArtifactItemsSpec
    "ArtifactItemsSpec.input_artifact": KEPT,
    # ArtifactIteratorSpec
    "ArtifactIteratorSpec.items": KEPT,
    "ArtifactIteratorSpec.item_input": KEPT,
    # ParameterItemsSpec
    "ParameterItemsSpec.raw": KEPT,
    "ParameterItemsSpec.input_parameter": KEPT,
    # ParameterIteratorSpec
    "ParameterIteratorSpec.items": KEPT,
    "ParameterIteratorSpec.item_input": KEPT,
    # PipelineTaskSpec
    "PipelineTaskSpec.task_info": KEPT,
    "PipelineTaskSpec.inputs": KEPT,
    "PipelineTaskSpec.dependent_tasks": KEPT,
    "PipelineTaskSpec.caching_options": KEPT,
    "PipelineTaskSpec.component_ref": KEPT,
    "PipelineTaskSpec.trigger_policy": KEPT,
    "PipelineTaskSpec.artifact_iterator": KEPT,
    "PipelineTaskSpec.parameter_iterator": KEPT,
    "PipelineTaskSpec.retry_policy": KEPT,
    "PipelineTaskSpec.iterator_policy": KEPT,
    # ArtifactSelectorSpec
    "ArtifactSelectorSpec.producer_subtask": KEPT,
    "ArtifactSelectorSpec.output_artifact_key": KEPT,
    # DagOutputArtifactSpec
    "DagOutputArtifactSpec.artifact_selectors": KEPT,
    # ParameterSelectorSpec
    "ParameterSelectorSpec.producer_subtask": KEPT,
    "ParameterSelectorSpec.output_parameter_key": KEPT,
    # ParameterSelectorsSpec
    "ParameterSelectorsSpec.parameter_selectors": KEPT,
    # DagOutputParameterSpec
    "DagOutputParameterSpec.value_from_parameter": KEPT,
    "DagOutputParameterSpec.value_from_oneof": KEPT,
    # DagOutputsSpec
    "DagOutputsSpec.artifacts": KEPT,
    "DagOutputsSpec.parameters": KEPT,
    # DagSpec
    "DagSpec.tasks": KEPT,
    "DagSpec.outputs": KEPT,
    # TaskConfigPassthrough
    "TaskConfigPassthrough.field": _PASSTHROUGH,
    "TaskConfigPassthrough.apply_to_task": _PASSTHROUGH,
    # ComponentSpec
    "ComponentSpec.input_definitions": KEPT,
    "ComponentSpec.output_definitions": KEPT,
    "ComponentSpec.dag": KEPT,
    "ComponentSpec.executor_label": KEPT,
    "ComponentSpec.single_platform_specs": refused(
        "not supported yet; state the settings where the step is used", "notimpl"
    ),
    "ComponentSpec.task_config_passthroughs": _PASSTHROUGH,
    # PipelineInfo
    "PipelineInfo.name": KEPT,
    "PipelineInfo.display_name": KEPT,
    "PipelineInfo.description": KEPT,
    # PipelineSpec
    "PipelineSpec.pipeline_info": KEPT,
    "PipelineSpec.deployment_spec": KEPT,
    "PipelineSpec.sdk_version": _NOTE,
    "PipelineSpec.schema_version": _NOTE,
    "PipelineSpec.components": KEPT,
    "PipelineSpec.root": KEPT,
    "PipelineSpec.default_pipeline_root": lowered("the root is the run's own"),
    # Exec
    "Exec.command": _LIFECYCLE,
    "Exec.args": _LIFECYCLE,
    # Lifecycle
    "Lifecycle.pre_cache_check": _LIFECYCLE,
    # AcceleratorConfig
    "AcceleratorConfig.type": KEPT,
    "AcceleratorConfig.count": KEPT,
    "AcceleratorConfig.resource_type": KEPT,
    "AcceleratorConfig.resource_count": KEPT,
    # ResourceSpec
    "ResourceSpec.cpu_limit": KEPT,
    "ResourceSpec.memory_limit": KEPT,
    "ResourceSpec.cpu_request": KEPT,
    "ResourceSpec.memory_request": KEPT,
    "ResourceSpec.resource_cpu_limit": KEPT,
    "ResourceSpec.resource_memory_limit": KEPT,
    "ResourceSpec.resource_cpu_request": KEPT,
    "ResourceSpec.resource_memory_request": KEPT,
    "ResourceSpec.accelerator": KEPT,
    # EnvVar
    "EnvVar.name": KEPT,
    "EnvVar.value": KEPT,
    # PipelineContainerSpec
    "PipelineContainerSpec.image": KEPT,
    "PipelineContainerSpec.command": KEPT,
    "PipelineContainerSpec.args": KEPT,
    "PipelineContainerSpec.lifecycle": _LIFECYCLE,
    "PipelineContainerSpec.resources": KEPT,
    "PipelineContainerSpec.env": KEPT,
    # ImporterSpec
    "ImporterSpec.artifact_uri": KEPT,
    "ImporterSpec.type_schema": KEPT,
    "ImporterSpec.properties": _PROPERTIES,
    "ImporterSpec.custom_properties": _PROPERTIES,
    "ImporterSpec.reimport": lowered("there is no store of metadata: what is imported is looked at each time"),
    "ImporterSpec.metadata": KEPT,
    "ImporterSpec.download_to_workspace": lowered("what a step takes is fetched to it, wherever it is"),
    # ArtifactQuerySpec
    "ArtifactQuerySpec.filter": _RESOLVER,
    "ArtifactQuerySpec.limit": _RESOLVER,
    # ResolverSpec
    "ResolverSpec.output_artifact_queries": _RESOLVER,
    # AIPlatformCustomJobSpec
    "AIPlatformCustomJobSpec.custom_job": _CUSTOM_JOB,
    # ExecutorSpec
    "ExecutorSpec.container": KEPT,
    "ExecutorSpec.importer": KEPT,
    "ExecutorSpec.resolver": _RESOLVER,
    "ExecutorSpec.custom_job": _CUSTOM_JOB,
    # PipelineDeploymentConfig
    "PipelineDeploymentConfig.executors": KEPT,
    # Value
    "Value.int_value": KEPT,
    "Value.double_value": KEPT,
    "Value.string_value": KEPT,
    # ValueOrRuntimeParameter
    "ValueOrRuntimeParameter.constant_value": KEPT,
    "ValueOrRuntimeParameter.runtime_parameter": KEPT,
    "ValueOrRuntimeParameter.constant": KEPT,
    # ArtifactTypeSchema
    "ArtifactTypeSchema.schema_title": KEPT,
    "ArtifactTypeSchema.schema_uri": _UNTYPED,
    "ArtifactTypeSchema.instance_schema": _UNTYPED,
    "ArtifactTypeSchema.schema_version": lowered("KFP has one version of each type"),
    # PlatformDeploymentConfig
    "PlatformDeploymentConfig.executors": KEPT,
    # KubernetesWorkspaceConfig
    "KubernetesWorkspaceConfig.pvc_spec_patch": KEPT,
    # WorkspaceConfig
    "WorkspaceConfig.size": KEPT,
    "WorkspaceConfig.kubernetes": KEPT,
    # PipelineConfig
    "PipelineConfig.resource_ttl_on_completion": KEPT,
    "PipelineConfig.workspace": KEPT,
    "PipelineConfig.resource_ttl_on_success": KEPT,
    "PipelineConfig.resource_ttl_on_failure": KEPT,
    "PipelineConfig.active_deadline_seconds": KEPT,
    # SinglePlatformSpec
    "SinglePlatformSpec.deployment_spec": KEPT,
    "SinglePlatformSpec.platform": _NOTE,
    "SinglePlatformSpec.config": KEPT,
    "SinglePlatformSpec.pipeline_config": KEPT,
    # PlatformSpec
    "PlatformSpec.platforms": KEPT,
}
"""By `Message.field`."""
