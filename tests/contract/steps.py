"""Steps that do things: give a value, fail, fail once, emit lists, write and read artifacts, tell their status."""

from typing import List, Optional  # noqa: UP035 - KFP reads these spellings

from turnout import Artifact, ComponentError, Dataset, Input, Metrics, Output, PipelineTaskFinalStatus, component


@component
def give(value: str = "v") -> str:
    """Give back a value.

    Args:
        value: any text.
    """
    return value


@component(requirements=["iniconfig==2.0.0"])
def older() -> str:
    """Tell a package's version, which is not that of other components, and where it is from."""
    import sys
    from importlib.metadata import version

    return f"{version('iniconfig')} {version('kfp') > '2'} {sys.prefix}"


@component
def number(n: int) -> int:
    """Give back a number.

    Args:
        n: any.
    """
    return n


@component
def emit(n: int) -> list:
    """Emit the first numbers.

    Args:
        n: how many.
    """
    return list(range(n))


@component
def structs() -> list:
    """Emit structs with a text and a list in each."""
    return [{"name": "a", "sizes": [1, 2]}, {"name": "b", "sizes": []}, {"name": "c", "sizes": [3]}]


@component
def log_infinity(metrics: Output[Metrics]) -> str:
    """Log what a loss becomes that has diverged.

    Args:
        metrics: the loss.
    """
    metrics.log_metric("loss", float("inf"))
    return "logged"


@component
def fail(after: str = "") -> str:
    """Fail.

    Args:
        after: anything, to come after something.
    """
    raise ComponentError("failed on purpose", where="fail")


@component
def fail_for(value: str, bad: str) -> str:
    """Fail for one value, and give back the others.

    Args:
        value: any text.
        bad: the text to fail for.
    """
    if value == bad:
        raise ComponentError(f"failed for {bad}")
    return value


@component
def fail_once(directory: str, name: str = "x") -> str:
    """Fail the first time, and succeed from then on.

    Args:
        directory: where it remembers.
        name: under which name.
    """
    from pathlib import Path

    marker = Path(directory, f"failed-{name}")
    if marker.exists():
        return f"{name} again"
    marker.touch()
    raise ValueError("the first time")


@component
def write(text: str, data: Output[Dataset]):
    """Write a text.

    Args:
        text: the text.
        data: the data set; its length is in its metadata.
    """
    from pathlib import Path

    Path(data.path).write_text(text)
    data.metadata["length"] = len(text)


@component
def read(data: Input[Dataset]) -> str:
    """Read a text, with its metadata.

    Args:
        data: the data set.
    """
    from pathlib import Path

    return f"{Path(data.path).read_text()} {data.metadata.get('length')}"


@component
def read_all(data: Input[List[Dataset]]) -> str:  # noqa: UP006
    """Read several texts.

    Args:
        data: the data sets.
    """
    from pathlib import Path

    return " ".join(Path(item.path).read_text() for item in data)


@component
def describe(data: Input[Artifact]) -> str:
    """Tell what an artifact is.

    Args:
        data: any artifact.
    """
    import json
    from pathlib import Path

    return f"{Path(data.path).read_text()} {json.dumps(data.metadata, sort_keys=True)}"


@component
def join(values: list) -> str:
    """Join values.

    Args:
        values: any.
    """
    return " ".join(map(str, values))


@component
def total(values: list) -> int:
    """Add numbers.

    Args:
        values: numbers.
    """
    return sum(values)


@component
def optional(text: Optional[str] = None, count: int = 7, data: Input[Dataset] = None) -> str:  # noqa: UP045
    """Tell what was given.

    Args:
        text: may be missing.
        count: has a default.
        data: may be missing.
    """
    return f"{text} {count} {data is not None}"


@component
def final(status: PipelineTaskFinalStatus) -> str:
    """Tell how something ended.

    Args:
        status: of what.
    """
    return f"{status.pipeline_task_name} {status.state} {bool(status.error_message)}"


@component
def variable(name: str) -> str:
    """Tell an environment variable.

    Args:
        name: its name.
    """
    import os

    return os.environ.get(name, "missing")


@component
def sleep(seconds: float) -> str:
    """Wait.

    Args:
        seconds: how long.
    """
    import time

    time.sleep(seconds)
    return "awake"


@component
def append(path: str, text: str) -> str:
    """Append a line to a file, and give back all its lines.

    Args:
        path: the file.
        text: the line.
    """
    from pathlib import Path

    with Path(path).open("a") as file:
        file.write(text + "\n")
    return Path(path).read_text()


@component
def repeat(text: str, times: int) -> list:
    """Repeat a text.

    Args:
        text: any text.
        times: how often.
    """
    return [text] * times


@component
def count(values: list) -> int:
    """Count values.

    Args:
        values: any.
    """
    return len(values)
