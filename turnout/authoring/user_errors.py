"""Errors in the user's own file, of Python and of KFP's SDK, in a line or two: what, and which line of the file."""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from turnout.authoring.kfp_sdk import NoSuchOutput
from turnout.errors import Fault, did_you_mean
from turnout.execution.user_code import own_line
from turnout.extras import hint_for

_ARGUMENT = re.compile(r"unexpected keyword argument \"?'?(?P<name>\w+)")


def user_fault(error: BaseException, where: str = "") -> Fault:
    """An error that came up while a user's file was imported.

    Args:
        where: the place, where the error has none of its own.
    """
    line = own_line(error)
    place = f"{_shortest(line.filename)}:{line.lineno}" if line else where
    match error:
        case SyntaxError(msg=message, filename=str(name), lineno=number):
            return Fault(f"{type(error).__name__}: {message}", f"{_shortest(name)}:{number}")
        case NoSuchOutput():
            what = f"'{error.task}' has no output '{error.name}'"
            return Fault(what, place, error.outputs, did_you_mean(error.name, error.outputs))
        case SystemExit():
            return Fault("the file ends Python when it is imported", place, hint='guard it: if __name__ == "__main__":')
    names = _names(error)
    unknown = _ARGUMENT.search(str(error))
    hint = did_you_mean(unknown["name"], names) if unknown else hint_for(error)
    return Fault(f"{type(error).__name__}: {error}".rstrip(": "), place, names, hint)


def defined_at(function: Callable[..., Any]) -> str:
    """The file and line where a function is written down."""
    code = inspect.unwrap(function).__code__
    return f"{_shortest(code.co_filename)}:{code.co_firstlineno}"


def _names(error: BaseException) -> tuple[str, ...]:
    """The inputs of the component, or the outputs of the task, that KFP's SDK was busy with when it gave up."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    subject: Any = trace.tb_frame.f_locals.get("self") if trace is not None else None
    kind = type(subject).__module__
    if not kind.startswith("kfp.dsl."):
        return ()
    if kind == "kfp.dsl.pipeline_task":
        return tuple(subject.outputs) if "multiple outputs" in str(error) else ()
    component = getattr(subject, "component_spec", None)
    return tuple(component.inputs or ()) if component is not None else ()


def _shortest(name: str) -> str:
    """A file's path from the current directory, where it is below it."""
    path = Path(name)
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else os.fspath(path)
