"""Conditions are read when a pipeline is linked, and are true or false."""

from __future__ import annotations

import pytest

from turnout.errors import StepError
from turnout.plan.conditions import condition_faults, holds
from turnout.plan.model import Condition
from turnout.spec.values import ParameterType

TYPES = {
    "x": ParameterType.STRING,
    "n": ParameterType.NUMBER_DOUBLE,
    "b": ParameterType.BOOLEAN,
    "items": ParameterType.LIST,
}


@pytest.mark.parametrize(
    ("expression", "fault"),
    [
        ("x == 'it's'", "the condition x == 'it's' is no CEL: <input>:1:10"),
        ("x == ", "is no CEL"),
        ("x == 'a\nb'", "is no CEL"),
        ("y == 'a'", "the condition reads 'y', which it is not given"),
        ("lower(x) == 'a'", "the condition calls 'lower', which CEL does not have"),
        ("'a'", "the condition 'a' is neither true nor false: it gives 'a'"),
        ("1 > 'a'", "the condition 1 > 'a' is neither true nor false: No such overload"),
        ("x > 3", "the condition x > 3 is neither true nor false with x a str: No such overload"),
        ("!n", "the condition !n is neither true nor false with n a float: No such overload"),
        ("n.startsWith('a')", "neither true nor false with n a float: Undefined variable or function: 'startsWith'"),
        ("n + n", "neither true nor false with n a float: it gives 3.0"),
        ("b > 1", "neither true nor false with b a bool: No such overload"),
        ("[1].exists(a, [1].exists(b, [1].exists(c, a == b && b == c)))", "the condition has 3 loops; 2 are allowed"),
    ],
)
def test_what_can_never_be_evaluated_is_a_fault(expression: str, fault: str) -> None:
    (found, *_) = condition_faults(expression, TYPES)
    assert fault in found[0]


@pytest.mark.parametrize(
    "expression",
    [
        "x == 'it\\'s' && !(int(x) > 3)",
        "true",
        "x.startsWith('exists(a, ') || [x].exists(a, a == x)",
        "double(x) >= 0.5 ? x in ['a'] : size(x) > 1",
        "timestamp(x).getFullYear() > 2023",
        "n > 1.5 || n in [1, 2]",
        "int(n) > 1 && b",
        "items.exists(i, i > 3)",  # what lists hold is not declared
        "items['a'] > 3",
        "x == null",
    ],
)
def test_what_cel_has_is_no_fault(expression: str) -> None:
    assert list(condition_faults(expression, TYPES)) == []


@pytest.mark.parametrize("value", ["text", 1, None, [True]])
def test_what_is_neither_true_nor_false_is_an_error(value: object) -> None:
    with pytest.raises(StepError, match="neither true nor false"):
        holds(Condition("x", {}), {"x": value})


def test_types_that_cannot_be_compared_are_an_error() -> None:
    with pytest.raises(StepError, match="cannot be evaluated"):
        holds(Condition("x > 1", {}), {"x": "text"})
