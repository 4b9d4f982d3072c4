"""Small pipelines whose steps do things: succeed, fail, fail once, skip, wait."""

import datetime
from typing import Annotated, Literal, NamedTuple, Optional

from annotated_types import Ge, Le
from kfp import dsl

from turnout import ComponentError, Dataset, Input, Output, component, pipeline


class Sizes(NamedTuple):
    rows: int
    many: bool


@component
def make(data: Output[Dataset], rows: Annotated[int, Ge(1)] = 3, options: dict = {"times": 1}) -> Sizes:
    """Write some lines.

    Args:
        data: the lines.
        rows: how many.
        options: `times` repeats them.
    """
    from pathlib import Path

    assert isinstance(options["times"], int)
    Path(data.path).write_text("line\n" * rows * options["times"])
    data.metadata["rows"] = rows
    return Sizes(rows, rows > 2)


@component
def count(data: Input[Dataset], note: Optional[str] = None) -> int:  # noqa: UP045
    """Count the lines.

    Args:
        data: the lines.
        note: printed.
    """
    from pathlib import Path

    print(f"note={note}")
    return len(Path(data.path).read_text().splitlines())


@component
def fail(reason: str, report: Output[Dataset]):
    """Fail with a reason, after writing a report.

    Args:
        reason: the reason.
        report: a report.
    """
    from pathlib import Path

    Path(report.path).write_text("why")
    raise ComponentError(reason, where="here", hint="do better")


@component
def fail_once(marker: str) -> str:
    """Fail unless a file exists, which it makes.

    Args:
        marker: path of the file.
    """
    from pathlib import Path

    if Path(marker).exists():
        return "second time"
    Path(marker).touch()
    raise ValueError("first time")


@component
def echo(value: dict) -> str:
    """Give back a value as JSON.

    Args:
        value: any.
    """
    import json

    return json.dumps(value)


@pipeline
def branch(rows: Annotated[int, Ge(1), Le(10)] = 3, mode: Literal["a", "b"] = "a",
           day: datetime.date = datetime.date(2024, 1, 2), note: str = "hi") -> int:  # fmt: skip
    """Count lines twice, the second time only if there are many.

    Args:
        rows: how many lines.
        mode: one of two.
        day: a day.
        note: a text.
    """
    made = make(rows=rows)
    counted = count(data=made.outputs["data"], note=f"{note} on {day} in {mode}")
    with dsl.If(made.outputs["many"] == True):  # noqa: E712
        count(data=made.outputs["data"])
    return counted.output


@pipeline
def failing(reason: str = "no good"):
    """A step fails; one depends on it, one does not.

    Args:
        reason: why.
    """
    failed = fail(reason=reason)
    count(data=failed.outputs["report"])
    made = make()
    count(data=made.outputs["data"])


@pipeline
def flaky(marker: str) -> str:
    """A step succeeds the second time.

    Args:
        marker: path of the file that says it ran before.
    """
    return fail_once(marker=marker).set_retry(num_retries=2, backoff_duration="1s").output


@dsl.pipeline
def inner(rows: int = 4) -> int:
    made = make(rows=rows)
    return count(data=made.outputs["data"]).output


@pipeline
def nested(value: dict = {"a": [1, 2.5], "b": {"c": "d"}}):
    """A pipeline in a pipeline, once by default and once with a value, inside a condition.

    Args:
        value: any.
    """
    first = inner()
    with dsl.If(first.output == 4):
        inner(rows=2)
    with dsl.If(first.output > 4):
        inner(rows=1)
    echo(value=value)
