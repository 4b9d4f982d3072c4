"""Conditions: CEL expressions, checked when a pipeline is linked and evaluated when it runs."""

from __future__ import annotations

import itertools
import re
import sys
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any

from turnout.errors import StepError, did_you_mean
from turnout.plan.model import Condition
from turnout.spec.values import ParameterType

TEXT = r""""(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'"""
"""A text in CEL, as a regular expression."""

FUNCTIONS = {
    "all", "bool", "bytes", "contains", "double", "duration", "dyn", "endsWith", "exists", "exists_one", "filter",
    "getDate", "getDayOfMonth", "getDayOfWeek", "getDayOfYear", "getFullYear", "getHours", "getMilliseconds",
    "getMinutes", "getMonth", "getSeconds", "has", "int", "map", "matches", "size", "startsWith", "string", "timestamp",
    "type", "uint",
}  # fmt: skip
"""The functions of CEL's standard, which KFP's server knows. Source: CEL's language definition."""

MACROS = re.compile(r"\.\s*(?:all|exists|exists_one|map|filter)\s*\(\s*(?P<variable>\w+)\s*,")
MOST_TRIALS = 100

MOST_MACROS = 2
"""Loops that an expression may have: each one more multiplies the work, and nothing can interrupt it."""


_SAMPLES: Mapping[ParameterType, tuple[Any, ...]] = {
    ParameterType.STRING: ("", "1", "true", "2024-01-31T00:00:00Z", "1s"),
    ParameterType.NUMBER_INTEGER: (1,),
    ParameterType.NUMBER_DOUBLE: (1, 1.5),
    ParameterType.BOOLEAN: (True,),
}
"""Values with which an expression is tried; what lists and structs hold is not declared."""


def condition_faults(expression: str, types: Mapping[str, ParameterType]) -> Iterator[tuple[str, str]]:
    """What is wrong with an expression, whatever the values will be; each with a hint.

    Args:
        types: of the variables that it is given.
    """
    cel = _cel()
    try:
        program = cel.compile(expression)
    except ValueError as error:
        reason = str(error).partition("ERROR: ")[2].partition("\n")[0] or str(error)
        hint = "KFP's SDK does not escape quotes, backslashes and line ends in the texts that you compare with"
        yield f"the condition {expression} is no CEL: {reason}", hint
        return
    macros = [match["variable"] for match in MACROS.finditer(re.sub(TEXT, "''", expression))]
    if len(macros) > MOST_MACROS:
        yield f"the condition has {len(macros)} loops; {MOST_MACROS} are allowed", "compute the answer in a step"
        return
    known = {*types, *macros}
    for name in sorted({*program.variables()} - known):
        yield f"the condition reads '{name}', which it is not given", did_you_mean(name, known)
    called = {name for name in program.functions() if name.isidentifier() and not name.startswith("_")}
    for name in sorted(called - FUNCTIONS):
        yield f"the condition calls '{name}', which CEL does not have", did_you_mean(name, FUNCTIONS)
    read = sorted({*program.variables()} & {*types})
    if all(types[name] in _SAMPLES for name in read):
        yield from _untyped(expression, {name: _SAMPLES[types[name]] for name in read})


def _untyped(expression: str, samples: Mapping[str, tuple[Any, ...]]) -> Iterator[tuple[str, str]]:
    """Whether an expression has no answer, whatever values of their types its variables have."""
    cel = _cel()
    results: list[object] = []
    for values in itertools.islice(itertools.product(*samples.values()), MOST_TRIALS):
        try:
            results.append(cel.evaluate(expression, dict(zip(samples, values, strict=True))))
        except TypeError as error:
            results.append(error)
        except (ValueError, RuntimeError, OverflowError) as error:
            if not str(error).startswith("Undefined"):  # cel's word for a function that takes no value of this type
                return  # with another value it may have an answer
            results.append(error)
    if any(isinstance(result, bool) for result in results):
        return
    kinds = ", ".join(f"{name} a {type(values[-1]).__name__}" for name, values in samples.items())
    given = f" with {kinds}" if kinds else ""
    reason = str(results[-1]).partition(".")[0] if isinstance(results[-1], Exception) else f"it gives {results[-1]!r}"
    yield f"the condition {expression} is neither true nor false{given}: {reason}", "compare values of one type"


def _cel() -> Any:
    """CEL's library, without the interactive prompt that its package imports: it takes most of the time."""
    first = "cel" not in sys.modules
    if first:
        sys.modules["cel.cli"] = ModuleType("cel.cli")
    try:
        import cel
    finally:
        if first:
            sys.modules.pop("cel.cli", None)
    return cel


def holds(condition: Condition, values: Mapping[str, Any]) -> bool:
    """Whether a condition is true, given the values of its inputs.

    Raises:
        StepError: CEL cannot evaluate the expression, or what it gives is neither true nor false.
    """
    cel = _cel()
    try:
        result = cel.evaluate(condition.expression, dict(values))
    except (ValueError, RuntimeError, TypeError, KeyError, OverflowError) as error:
        raise StepError(f"the condition {condition.expression} cannot be evaluated: {error}") from error
    if not isinstance(result, bool):
        raise StepError(f"the condition {condition.expression} gives {result!r}, which is neither true nor false")
    return result
