"""The executor: runs inside a step, calls the component's function, writes the executor output.

It is KFP's own executor, with three things added: values are checked against the annotations, numbers
that lost their type on the way get it back, and an artifact's `customPath` is honoured.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import inspect
import json
import os
import resource
import sys
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from turnout.errors import Fault, ParameterError, StepError, TurnoutError, did_you_mean
from turnout.execution.executor_output import read_executor_output
from turnout.execution.failed_reports import keep_reports
from turnout.execution.user_code import own_line
from turnout.extras import hint_for
from turnout.spec.command import OUTSIDE, REQUIRES, UNCACHED
from turnout.spec.json_schema import value_faults, whole_numbers

MEMORY = "memory.txt"
"""File beside the executor output: the most bytes that a process of the step had in memory."""

_LONGEST_MESSAGE = 4096
"""Bytes of a pod's termination message."""

OTHER_CODE = "TURNOUT_OTHER_CODE"
"""Environment variable: `error` if a step must not run other code than the pipeline was compiled with."""

OTHER_CODE_RAN = "other_code.txt"
"""File beside the executor output: it is there when a step ran other code than the pipeline was compiled with."""


RUN_ID = "TURNOUT_RUN_ID"
"""Environment variable: the id of the run, for components that record it."""


def execute(target: str, executor_input: Mapping[str, Any], *, code_digest: str = "", run_id: str = "") -> None:
    """Run a component's function by KFP's contract.

    Args:
        target: `module:function`.
        executor_input: KFP's ExecutorInput.
        code_digest: the digest of the component's code when the pipeline was compiled; other code here
            is worth a warning, or an error where `OTHER_CODE` says so.
        run_id: the id of the run.

    Raises:
        StepError: the component cannot be imported, or is other code and must not be.
        ParameterError: values that its annotations do not allow.
        Exception: whatever the function raises.
    """
    # KFP's own switch: load what a running step needs, no compiler.
    os.environ.setdefault("_KFP_RUNTIME", "true")
    os.environ[RUN_ID] = run_id
    component = _load(target)

    from kfp.dsl.executor import Executor

    class _Executor(Executor):  # type: ignore[misc]
        def make_artifact(self, runtime_artifact: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
            artifact = super().make_artifact(runtime_artifact, *args, **kwargs)
            artifact.custom_path = runtime_artifact.get("customPath", "")
            return artifact

    if code_digest:
        _check_code(target, code_digest, executor_input)
    inputs = executor_input.get("inputs", {})
    checked = {**executor_input, "inputs": {**inputs, "parameterValues": _check(component, inputs, target)}}
    try:
        executor = _Executor(checked, component.python_func)
        try:
            executor.execute()
        except Exception:
            _keep_metadata(executor)
            keep_reports(executor.output_artifacts.values())
            raise
        if output := executor_input.get("outputs", {}).get("outputFile"):
            read_executor_output(Path(output))  # said here, it is clear on KFP too
    finally:
        _tell_memory(executor_input)


def _keep_metadata(executor: Any) -> None:
    """Tell what a component that failed has said of its artifacts, such as the verdict of a report."""
    executor.excutor_output.pop("parameterValues", None)
    with contextlib.suppress(Exception):  # the component's own failure is what there is to tell
        executor.write_executor_output()


def _check_code(target: str, wanted: str, executor_input: Mapping[str, Any]) -> None:
    from turnout.execution.code_digest import code_digest

    if code_digest(target) == wanted:
        return
    what = f"{target} is not the code that the pipeline was compiled with"
    if os.environ.get(OTHER_CODE) == "error":
        hint = "compile the pipeline with this code and deploy both, or allow other code: other_code = warning"
        raise StepError(what, hint=hint)
    print(f"warning: {what}", file=sys.stderr)
    with contextlib.suppress(OSError, KeyError):
        Path(executor_input["outputs"]["outputFile"]).with_name(OTHER_CODE_RAN).touch()


def _check_packages(target: str, lines: Sequence[str]) -> None:
    from turnout.spec.requirements import unmet

    if missing := unmet(lines):
        what = "\n".join(["the environment of this step lacks what its component requires:", *missing])
        raise StepError(what, where=target, hint="build the image that holds it, and push it: turnout build")


def _tell_memory(executor_input: Mapping[str, Any]) -> None:
    """Leave the most that this process, or one of its children, had in memory, where the launcher looks for it."""
    most = [resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    status = Path("/proc/self/status")
    if status.exists():  # more exact: the other starts with what the process had that forked this one
        most[0] = next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    kilobytes = max(most)
    with contextlib.suppress(OSError, KeyError):
        Path(executor_input["outputs"]["outputFile"]).with_name(MEMORY).write_text(str(kilobytes * 1024))


def main(arguments: Sequence[str]) -> int:
    """`turnout exec`: run a component's function inside a step. Returns the exit status."""
    parser = argparse.ArgumentParser("turnout exec", description="Run a component's function inside a step.")
    parser.add_argument("target", metavar="MODULE:FUNCTION")
    parser.add_argument("--executor-input", required=True, metavar="JSON", help="KFP's ExecutorInput, or @FILE")
    parser.add_argument("--code-digest", default="", help="digest of the component's code at compile time")
    parser.add_argument("--run-id", default="", help="the run's id")
    parser.add_argument(OUTSIDE, help="what tells the state of what the component looks at; for caches to ask")
    parser.add_argument(UNCACHED, action="store_true", help="the step always runs; for caches to see")
    parser.add_argument(REQUIRES, action="append", default=[], help="what the component's environment is to hold")
    parser.add_argument("--contract", help="the contract this command speaks; for kfp.local to see")
    options = parser.parse_args(arguments)
    text: str = options.executor_input
    try:
        if text.startswith("@"):
            text = Path(text[1:]).read_text(encoding="utf-8")
        if options.requires:
            _check_packages(options.target, options.requires)
        execute(options.target, json.loads(text), code_digest=options.code_digest, run_id=options.run_id)
    except Exception as error:
        report(error)
        return 1
    return 0


def describe_outside(arguments: Sequence[str]) -> int:
    """`turnout outside TARGET PARAMETERS FILE`: the state of what a component looks at, as JSON, into a file."""
    target, text, path = arguments
    parameters = json.loads(text)
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    module, _, name = target.partition(":")
    function = getattr(importlib.import_module(module), name)
    state = function(**{key: parameters.get(key) for key in inspect.signature(function).parameters})
    Path(path).write_text(json.dumps(state, sort_keys=True))
    return 0


def explain(error: BaseException) -> str:
    """What a person should know of a failure: our errors in their words, others with their type and their place.

    The place is the last line of the component's own code, or of what it calls that is no library.
    """
    if isinstance(error, TurnoutError):
        return str(error)
    line = own_line(error)
    where = f"{Path(line.filename).name}:{line.lineno}" if line else ""
    return str(Fault(f"{type(error).__name__}: {error}", where, hint=hint_for(error)))


def report(error: BaseException) -> None:
    """Print a failure, and leave its explanation where the launcher, or Kubernetes, looks for it."""
    if isinstance(error, TurnoutError):
        print(error, file=sys.stderr)
    else:
        traceback.print_exception(error)
    for path in (os.environ.get("TURNOUT_ERROR_FILE"), "/dev/termination-log"):
        if path and (path != "/dev/termination-log" or Path(path).exists()):
            Path(path).write_text(_whole_lines(explain(error)), encoding="utf-8", errors="backslashreplace")
            return


def _whole_lines(text: str) -> str:
    """As many lines as Kubernetes takes; of a text that has more, which it is said to be in the log."""
    if len(text.encode(errors="backslashreplace")) <= _LONGEST_MESSAGE:
        return text
    kept: list[str] = []
    room = _LONGEST_MESSAGE - 100
    for line in text.splitlines():
        room -= len(line.encode(errors="backslashreplace")) + 1
        if room < 0:
            break
        kept.append(line)
    first = text.splitlines()[0].encode(errors="backslashreplace")[: _LONGEST_MESSAGE - 100].decode(errors="ignore")
    return "\n".join([*(kept or [first]), f"({len(text):,} letters in all: the rest is in the log)"])


def _load(target: str) -> Any:
    module_name, _, name = target.partition(":")
    if not name:
        raise StepError("not MODULE:FUNCTION", where=target)
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        hint = hint_for(error) or "the environment that runs steps needs the pipeline's code and its libraries"
        raise StepError(f"no module '{error.name}' in {sys.executable}", where=target, hint=hint) from error
    except (AttributeError, ImportError) as error:
        if wants_all_of_kfp(error) and os.environ["_KFP_RUNTIME"] == "true":
            os.environ["_KFP_RUNTIME"] = "false"
            os.execv(sys.executable, sys.orig_argv)
        raise
    component = getattr(module, name, None)
    if not hasattr(component, "python_func"):
        names = tuple(key for key, value in vars(module).items() if hasattr(value, "python_func"))
        raise StepError(f"no component '{name}'", where=module_name, available=names, hint=did_you_mean(name, names))
    return component


def wants_all_of_kfp(error: AttributeError | ImportError) -> bool:
    """Whether a module cannot be imported since it authors too, with parts of kfp.dsl that a running step lacks."""
    if isinstance(error, AttributeError):
        return getattr(error.obj, "__name__", "") == "kfp.dsl"
    return error.name == "kfp.dsl"


def _check(component: Any, inputs: Mapping[str, Any], target: str) -> dict[str, Any]:
    from turnout.spec.signature import SIGNATURES

    signature = getattr(component, "signature", None) or SIGNATURES.get(target)
    values: dict[str, Any] = {}
    faults: list[Fault] = []
    for name, value in inputs.get("parameterValues", {}).items():
        parameter = signature.parameters.get(name) if signature else None
        schema = parameter.schema if parameter else None
        values[name] = whole_numbers(value, schema)
        if schema is not None and value is not None:
            faults.extend(value_faults(values[name], schema, f"{target}.{name}"))
    if faults:
        raise ParameterError(faults)
    return values
