"""What a step says of its outputs: KFP's executor output, and the files of components that write files.

A step may leave anything there. Whatever it is, it ends in values that are JSON, or in a `StepError`: on KFP too a
number that JSON has not makes the step fail.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from turnout.errors import StepError
from turnout.spec.json_values import HINT, beyond_json
from turnout.spec.values import ParameterType

if TYPE_CHECKING:
    from turnout.spec.pipeline_spec import OutputParameterSpec

LARGEST = 64 * 2**20
"""Bytes that an executor output, or the file of an output parameter, may have."""


@dataclass(frozen=True)
class ExecutorOutput:
    """An executor output whose shape is known to be right.

    Attributes:
        parameters: the values of output parameters.
        artifacts: by name, what was said of an output artifact: `name`, `uri`, `metadata`.
    """

    parameters: Mapping[str, Any]
    artifacts: Mapping[str, Mapping[str, Any]]


def read_executor_output(path: Path) -> ExecutorOutput:
    """The executor output of a command that has ended; an empty one when there is no file.

    Raises:
        StepError: it is no file, too large, not JSON in UTF-8, not of KFP's shape, or has a number that JSON lacks.
    """
    text = read_bounded(path, "the executor output")
    content = _parsed_json(text, "the executor output") if text is not None else {}
    if not isinstance(content, dict):
        raise StepError(f"the executor output is {_kind(content)}, not an object")
    parameters = _part(content, "parameterValues", dict, "the executor output")
    artifacts: dict[str, Mapping[str, Any]] = {}
    for name, entry in _part(content, "artifacts", dict, "the executor output").items():
        where = f"artifacts.{name} of the executor output"
        listed = _part(_of_kind(entry, dict, where), "artifacts", list, where)
        said = _of_kind(listed[0], dict, where) if listed else {}
        artifacts[name] = {
            "name": _part(said, "name", str, where),
            "uri": _part(said, "uri", str, where),
            "metadata": _part(said, "metadata", dict, where) if "metadata" in said else None,
        }
    for name, value in parameters.items():
        check_json(value, f"the output parameter '{name}'")
    for name, said in artifacts.items():
        check_json(said, f"the artifact '{name}'")
    return ExecutorOutput(parameters, artifacts)


def output_parameters(
    output: ExecutorOutput, declared: Mapping[str, OutputParameterSpec], files: Mapping[str, Path]
) -> dict[str, Any]:
    """The values of all output parameters: from the executor output, or from the file of each.

    Raises:
        StepError: one is missing, or not of its type.
    """
    values: dict[str, Any] = {}
    for name, spec in declared.items():
        what = f"the output parameter '{name}'"
        if name in output.parameters:
            values[name] = _typed(output.parameters[name], spec.parameter_type, name)
        elif (text := read_bounded(files[name], what)) is not None:
            values[name] = _typed(_from_text(text, spec.parameter_type, name), spec.parameter_type, name)
            check_json(values[name], what)
        else:
            raise StepError(f"the step ended without its output parameter '{name}'")
    return values


def read_bounded(path: Path, what: str) -> str | None:
    """The text of a file that a step wrote; None when there is none.

    Raises:
        StepError: it is no regular file, too large, or not UTF-8.
    """
    if not path.exists():
        return None
    if not path.is_file():  # a pipe would be waited for, a device has no end
        raise StepError(f"{what} is not a file", where=str(path))
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except OSError as error:
        raise StepError(f"{what} cannot be read: {error.strerror}", where=str(path)) from error
    if len(content) > LARGEST:
        hint = "return what is large as an artifact"
        raise StepError(f"{what} has more than {LARGEST // 2**20} MiB", where=str(path), hint=hint)
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise StepError(f"{what} is not UTF-8: {error.reason} at byte {error.start}", where=str(path)) from error


def check_json(value: Any, what: str) -> None:
    """Raises StepError when a value that JSON's parser gave holds what JSON, or Unicode, has not."""
    for place, held in beyond_json(value):
        raise StepError(f"{what} holds {held}{f' at {place}' if place else ''}", hint=HINT)


def _parsed_json(text: str, what: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise StepError(f"{what} is not JSON: {error}") from error
    except RecursionError:
        raise StepError(f"{what} is nested too deeply") from None
    except ValueError as error:  # an integer of thousands of digits
        raise StepError(f"{what} cannot be read: {error}") from error


def _part(holder: Mapping[str, Any], key: str, kind: type, where: str) -> Any:
    """An entry of an object; empty when there is none, or null."""
    found = holder.get(key)
    return kind() if found is None else _of_kind(found, kind, f"{key} in {where}")


def _of_kind(value: Any, kind: type, where: str) -> Any:
    if not isinstance(value, kind):
        raise StepError(f"{where} is {_kind(value)}, not {_KINDS[kind]}")
    return value


_KINDS: dict[type, str] = {dict: "an object", list: "a list", str: "a text"}


def _kind(value: Any) -> str:
    return _KINDS.get(type(value), json.dumps(value)[:80])


_PYTHON_TYPES: dict[ParameterType, tuple[type, ...]] = {
    ParameterType.NUMBER_DOUBLE: (float, int),
    ParameterType.NUMBER_INTEGER: (int,),
    ParameterType.STRING: (str,),
    ParameterType.BOOLEAN: (bool,),
    ParameterType.LIST: (list,),
    ParameterType.STRUCT: (dict,),
}


def _typed(value: Any, kind: ParameterType, name: str) -> Any:
    accepted = _PYTHON_TYPES.get(kind)
    if kind is ParameterType.NUMBER_INTEGER and isinstance(value, float) and value.is_integer():
        return int(value)
    if accepted and (not isinstance(value, accepted) or isinstance(value, bool) is not (bool in accepted)):
        raise StepError(f"output parameter '{name}' is {repr(value)[:80]}, which is not {kind.value}")
    return value


def _from_text(text: str, kind: ParameterType, name: str) -> Any:
    """The value that the text of a parameter's file says."""
    if kind is ParameterType.STRING:
        return text
    try:
        return _parsed_json(text.strip().lower() if kind is ParameterType.BOOLEAN else text, "")
    except StepError as error:
        raise StepError(f"output parameter '{name}' is {text[:80]!r}, which is not {kind.value}") from error
