"""What KFP does with a compiled pipeline, without a cluster: driver, launcher, and pods that share nothing but a store.

Written after KFP's own source, as it is up to 2.17 (`backend/src/v2/driver`, `component/launcher_v2.go`,
`metadata/client.go`), and from the YAML alone: no part of Turnout's plan is used. Each step is the command of its
component, as a process in an empty directory of its own that is gone when it ends. A file travels as an artifact only:
downloaded before the command, uploaded after it has succeeded. Unlike on KFP, artifacts are in the pod's directory (by
`customPath`), and not in `/minio`. Loops, retries and outputs of groups are left out.
"""

from __future__ import annotations

import graphlib
import json
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cel
import yaml
from commands import Commands

Values = dict[str, Any]


@dataclass
class Task:
    """A task as KFP's metadata store knows it.

    Attributes:
        state: of the store: RUNNING, COMPLETE, FAILED, or CANCELED where a condition was false. That of a group is
            written by the steps directly in it: one with another group in it stays RUNNING (kubeflow/pipelines 11979).
        failed: what Argo knows, by which the run fails.
    """

    state: str = "RUNNING"
    failed: bool = False
    parameters: Values = field(default_factory=dict)
    artifacts: Values = field(default_factory=dict)


class KfpRun:
    """A run of a compiled pipeline.

    Args:
        path: the YAML.
        home: in which pods, the store and the logs get directories.
        image: the environment variables of each pod.
        commands: the process that runs the commands.
        before: called with a step's name before its pod starts; what it raises ends the pod.

    Attributes:
        pods: the names of the steps that ran, in order.
        logs: what they printed, by name.
    """

    def __init__(
        self, path: Path, home: Path, image: Mapping[str, str], commands: Commands,
        before: Callable[[str], None] = lambda name: None,
    ):  # fmt: skip
        self.spec = next(iter(yaml.safe_load_all(path.read_text())))
        self.home, self.image, self.commands, self.before = home, dict(image), commands, before
        self.bucket = home / "bucket"
        self.id = f"run-{len(list(home.iterdir()))}"
        self.pods: list[str] = []
        self.logs: dict[str, str] = {}
        self.outputs: dict[str, Task] = {}

    def run(self, **parameters: Any) -> bool:
        """Run it; whether it succeeded."""
        root = self.spec["root"]
        defaults = _defaults(root)
        if unknown := parameters.keys() - root["inputDefinitions"]["parameters"].keys():
            raise AssertionError(f"no such parameters: {unknown}")
        return not self._group(Task(), root["dag"], {**defaults, **parameters}, {}).failed

    def _group(self, group: Task, dag: Values, parameters: Values, artifacts: Values) -> Task:
        tasks: Values = dag["tasks"]
        done: dict[str, Task] = {}
        sorter = graphlib.TopologicalSorter({name: _before(task) for name, task in sorted(tasks.items())})
        for name in sorter.static_order():
            task, made = tasks[name], Task()
            always = task.get("triggerPolicy", {}).get("strategy") == "ALL_UPSTREAM_TASKS_COMPLETED"
            if always or all(other in done and not done[other].failed for other in _before(task)):
                done[name] = made
                self._task(name, task, made, done, parameters, artifacts)
                if made.state != "RUNNING" and "executorLabel" in self._component(task):
                    _tell_group(group, done, len(tasks))
        group.failed = any(task.failed for task in done.values())
        return group

    def _component(self, task: Values) -> Values:
        found: Values = self.spec["components"][task["componentRef"]["name"]]
        return found

    def _task(
        self, name: str, task: Values, made: Task, done: dict[str, Task], parameters: Values, artifacts: Values
    ) -> None:
        """What the driver does: the inputs, the condition; then the group, or the pod."""
        component, given = self._component(task), task.get("inputs", {})
        inputs = {key: self._resolved(source, done, parameters) for key, source in given.get("parameters", {}).items()}
        files = {key: _artifact(source, done, artifacts) for key, source in given.get("artifacts", {}).items()}
        condition = task.get("triggerPolicy", {}).get("condition")
        if condition and not cel.evaluate(condition, {"inputs": {"parameter_values": inputs}}):
            made.state = "CANCELED"
        elif "dag" in component:
            self._group(made, component["dag"], inputs, files)
        else:
            self._pod(name, component, made, {**_defaults(component), **inputs}, files)

    def _resolved(self, source: Values, done: dict[str, Task], parameters: Values) -> Any:
        match source:
            case {"componentInputParameter": name}:
                return parameters[name]
            case {"taskOutputParameter": {"producerTask": producer, "outputParameterKey": key}}:
                return done[producer].parameters[key]
            case {"runtimeValue": {"constant": value}}:
                return value
            case {"taskFinalStatus": {"producerTask": producer}}:
                name = {"pipelineTaskName": producer, "pipelineJobResourceName": self.id}
                return {"state": done[producer].state, **name, "error": {}}
        raise NotImplementedError(source)

    def _pod(self, name: str, component: Values, made: Task, parameters: Values, artifacts: Values) -> None:
        """What the launcher does, in a pod that has nothing."""
        self.pods.append(name)
        container = self.spec["deploymentSpec"]["executors"][component["executorLabel"]]["container"]
        with tempfile.TemporaryDirectory(dir=self.home, prefix="pod-") as directory:
            pod = Path(directory)
            for item in artifacts.values():
                item["customPath"] = str(pod / item["uri"].replace("://", "/"))
                _copy(self.bucket / item["uri"].partition("://")[2], Path(item["customPath"]))
            outputs = component.get("outputDefinitions", {})
            uri = f"minio://bucket/{self.id}/{name}"
            written = {
                key: {"name": key, "uri": f"{uri}/{key}", "type": kind["artifactType"], "metadata": {},
                      "customPath": str(pod / "minio/bucket" / self.id / name / key)}
                for key, kind in outputs.get("artifacts", {}).items()
            }  # fmt: skip
            for item in written.values():
                Path(item["customPath"]).parent.mkdir(parents=True, exist_ok=True)
            metadata = pod / "tmp/kfp_outputs/output_metadata.json"
            metadata.parent.mkdir(parents=True)
            executor_input = {
                "inputs": {"parameterValues": parameters,
                           "artifacts": {key: {"artifacts": [item]} for key, item in artifacts.items()}},
                "outputs": {"parameters": {key: {"outputFile": str(pod / "tmp/kfp/outputs" / key)}
                                           for key in outputs.get("parameters", {})},
                            "artifacts": {key: {"artifacts": [item]} for key, item in written.items()},
                            "outputFile": str(metadata)},
            }  # fmt: skip
            words = [*container["command"], *container.get("args", [])]
            placeholders = {"{{$}}": json.dumps(executor_input), "{{$.pipeline_job_uuid}}": self.id}
            placeholders |= {
                f"{{{{$.inputs.parameters['{key}']}}}}": value if isinstance(value, str) else json.dumps(value)
                for key, value in parameters.items()
            }
            for text, value in placeholders.items():
                words = [word.replace(text, value) for word in words]
            assert words[0] == "turnout", words
            variables = {**self.image, "HOME": str(pod), "TMPDIR": str(pod / "tmp"), "TURNOUT_POD": name}
            try:
                self.before(name)
                status, out, err = self.commands.run(words[1:], pod, variables)
            except InterruptedError as error:
                status, out, err = 137, "", str(error)
            self.logs[name] = out + err
            made.failed, made.state = status != 0, "FAILED" if status else "COMPLETE"
            if status:
                return
            found = json.loads(metadata.read_text()) if metadata.exists() else {}
            made.parameters = found.get("parameterValues", {})
            for key, item in written.items():
                for told in found.get("artifacts", {}).get(key, {}).get("artifacts", []):
                    item |= {part: told[part] for part in ("uri", "metadata") if told.get(part)}
                _copy(Path(item["customPath"]), self.bucket / item["uri"].partition("://")[2])
            made.artifacts = written
        self.outputs[name] = made


def _tell_group(group: Task, done: Mapping[str, Task], tasks: int) -> None:
    """The state of a group, as the launcher of a step in it writes it when the step has ended."""
    states = [task.state for task in done.values()]
    if sum(state in ("COMPLETE", "CACHED", "CANCELED") for state in states) == tasks:
        group.state = "COMPLETE"
    elif "FAILED" in states:
        group.state = "FAILED"


def _before(task: Values) -> set[str]:
    names = set(task.get("dependentTasks", []))
    given = task.get("inputs", {})
    for source in [*given.get("parameters", {}).values(), *given.get("artifacts", {}).values()]:
        names |= {
            value["producerTask"] for value in source.values() if isinstance(value, dict) and "producerTask" in value
        }
    return names


def _defaults(component: Values) -> Values:
    known = component.get("inputDefinitions", {}).get("parameters", {})
    return {name: item["defaultValue"] for name, item in known.items() if "defaultValue" in item}


def _artifact(source: Values, done: Mapping[str, Task], artifacts: Values) -> Values:
    match source:
        case {"componentInputArtifact": name}:
            return dict(artifacts[name])
        case {"taskOutputArtifact": {"producerTask": producer, "outputArtifactKey": key}}:
            return dict(done[producer].artifacts[key])
    raise NotImplementedError(source)


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target)
    elif source.exists():  # a component need not write all of its outputs
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
