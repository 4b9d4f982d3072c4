"""What of KFP's SDK a Python file uses, read without running it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

from turnout.errors import Fault

_DECORATOR = re.compile(r"(kfp|turnout)(\.\w+)*\.pipeline")

OLD = {
    "kfp.v2": "it is kfp itself now: from kfp import dsl, compiler",
    "kfp.components.func_to_container_op": "@dsl.component on the function",
    "kfp.components.create_component_from_func": "@dsl.component on the function",
    "kfp.components.create_component_from_func_v2": "@dsl.component on the function",
    "kfp.components.InputPath": "dsl.InputPath, or dsl.Input[dsl.Dataset]",
    "kfp.components.OutputPath": "dsl.OutputPath, or dsl.Output[dsl.Dataset]",
    "kfp.dsl.ContainerOp": "a function that returns dsl.ContainerSpec, under @dsl.container_component",
    "kfp.dsl.VolumeOp": "kfp.kubernetes.CreatePVC and mount_pvc",
    "kfp.dsl.PipelineVolume": "kfp.kubernetes.mount_pvc",
    "kfp.dsl.ResourceOp": "a container component that calls kubectl",
    "kfp.dsl.Sidecar": "no pipeline of version 2 has side-cars: run it beside the pipeline",
    "kfp.dsl.PipelineConf": "settings of each task, from kfp.kubernetes",
    "kfp.dsl.get_pipeline_conf": "settings of each task, from kfp.kubernetes",
    "kfp.dsl.RUN_ID_PLACEHOLDER": "dsl.PIPELINE_JOB_ID_PLACEHOLDER",
    "kfp.dsl.EXECUTION_ID_PLACEHOLDER": "dsl.PIPELINE_TASK_ID_PLACEHOLDER",
    "kfp.gcp": "kfp.kubernetes.use_secret_as_volume",
    "kfp.aws": "kfp.kubernetes.use_secret_as_env",
    "kfp.azure": "kfp.kubernetes.use_secret_as_env",
    "kfp.onprem": "kfp.kubernetes.mount_pvc",
}
"""Names of KFP's SDK 1.8 that version 2 has not, and what stands for each there."""

OLD_METHODS = {
    "add_pvolumes": "kfp.kubernetes.mount_pvc",
    "add_volume": "kfp.kubernetes.mount_pvc, use_secret_as_volume, use_config_map_as_volume",
    "add_volume_mount": "kfp.kubernetes.mount_pvc, use_secret_as_volume, use_config_map_as_volume",
    "add_toleration": "kfp.kubernetes.add_toleration",
    "add_affinity": "kfp.kubernetes.add_node_affinity",
    "add_pod_label": "kfp.kubernetes.add_pod_label",
    "add_pod_annotation": "kfp.kubernetes.add_pod_annotation",
    "add_resource_limit": "task.set_cpu_limit, set_memory_limit, set_accelerator_limit",
    "set_image_pull_policy": "kfp.kubernetes.set_image_pull_policy",
    "set_security_context": "kfp.kubernetes.set_security_context",
    "set_timeout": "kfp.kubernetes.set_timeout",
    "add_sidecar": "no pipeline of version 2 has side-cars: run it beside the pipeline",
}
"""Methods of 1.8's tasks that version 2's have not."""


@dataclass(frozen=True)
class Used:
    """What a file uses of KFP's SDK.

    Attributes:
        pipelines: the functions under `@dsl.pipeline`, or Turnout's `@pipeline`, by name: their lines.
        inside: those of them that are not made when the file is imported: in functions, or where it is the program.
        old: what of it is of version 1.8, with the lines.
    """

    pipelines: dict[str, int]
    inside: frozenset[str]
    old: tuple[Fault, ...]


def used(text: str, where: str) -> Used:
    """Read a file.

    Raises:
        SyntaxError: it is not Python.
    """
    tree = ast.parse(text, where)
    names = dict(_imported(tree))
    if not names:
        return Used({}, frozenset(), ())
    pipelines, inside = {}, set()
    for node, nested in _functions(tree, False):
        if any(_DECORATOR.fullmatch(_dotted(_called(item), names)) for item in node.decorator_list):
            pipelines[node.name] = node.lineno
            if nested:
                inside.add(node.name)
    return Used(pipelines, frozenset(inside), tuple(_old(tree, names, where)))


def _imported(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """The names of KFP's and Turnout's modules and functions in a file, with what they stand for."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.partition(".")[0] in ("kfp", "turnout"):
                    yield (alias.asname, alias.name) if alias.asname else (alias.name.partition(".")[0],) * 2
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in ("kfp", "turnout"):
            for alias in node.names:
                yield alias.asname or alias.name, f"{node.module}.{alias.name}"


def _functions(node: ast.AST, nested: bool) -> Iterator[tuple[ast.FunctionDef, bool]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef):
            yield child, nested
        guarded = isinstance(child, ast.If) and "__name__" in ast.unparse(child.test)
        deeper = nested or guarded or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        yield from _functions(child, deeper)


def _called(node: ast.expr) -> ast.expr:
    return node.func if isinstance(node, ast.Call) else node


def _dotted(node: ast.expr, names: dict[str, str]) -> str:
    """What an expression such as `dsl.pipeline` stands for; nothing when it does not begin with a name of the SDK."""
    if isinstance(node, ast.Attribute):
        before = _dotted(node.value, names)
        return f"{before}.{node.attr}" if before else ""
    return names.get(node.id, "") if isinstance(node, ast.Name) else ""


def _old(tree: ast.AST, names: dict[str, str], where: str) -> Iterator[Fault]:
    told: set[str] = set()
    for node in ast.walk(tree):
        for name in _said(node, names):
            found = next((old for old in OLD if f"{name}.".startswith(f"{old}.")), "")
            if found and found not in told:
                told.add(found)
                yield Fault(f"{found} is of KFP SDK 1.8", f"{where}:{node.lineno}", hint=OLD[found])  # type: ignore[attr-defined]
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            method = node.func.attr
            known = _dotted(node.func, names)
            if method in OLD_METHODS and not known and method not in told and names.keys():
                told.add(method)
                hint = OLD_METHODS[method]
                yield Fault(f"task.{method}() is of KFP SDK 1.8", f"{where}:{node.lineno}", hint=hint)


def _said(node: ast.AST, names: dict[str, str]) -> Iterator[str]:
    """The names of the SDK that a piece of code says in full."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        yield from (f"{node.module}.{alias.name}" for alias in node.names)
    elif isinstance(node, ast.Attribute) and (name := _dotted(node, names)):
        yield name
