"""Conditions: CEL expressions, checked when a pipeline is linked and evaluated when it runs."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from turnout.errors import StepError, did_you_mean
from turnout.plan.model import Condition

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
MOST_MACROS = 2
"""Loops that an expression may have: each one more multiplies the work, and nothing can interrupt it."""


def condition_faults(expression: str, names: Collection[str]) -> Iterator[tuple[str, str]]:
    """What is wrong with an expression, whatever the values will be; each with a hint.

    Args:
        names: the variables that it is given.
    """
    import cel

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
    known = {*names, *macros}
    for name in sorted({*program.variables()} - known):
        yield f"the condition reads '{name}', which it is not given", did_you_mean(name, known)
    called = {name for name in program.functions() if name.isidentifier() and not name.startswith("_")}
    for name in sorted(called - FUNCTIONS):
        yield f"the condition calls '{name}', which CEL does not have", did_you_mean(name, FUNCTIONS)
    if not program.variables() and not called:
        try:
            holds(Condition(expression, {}), {})
        except StepError as error:
            yield str(error), "compare with something"


def holds(condition: Condition, values: Mapping[str, Any]) -> bool:
    """Whether a condition is true, given the values of its inputs.

    Raises:
        StepError: CEL cannot evaluate the expression, or what it gives is neither true nor false.
    """
    import cel

    try:
        result = cel.evaluate(condition.expression, dict(values))
    except (ValueError, RuntimeError, TypeError, KeyError, OverflowError) as error:
        raise StepError(f"the condition {condition.expression} cannot be evaluated: {error}") from error
    if not isinstance(result, bool):
        raise StepError(f"the condition {condition.expression} gives {result!r}, which is neither true nor false")
    return result
