"""How long CI waits: `check` and `compile --check` of 4, 40 and 400 pipelines, beside what a team would do otherwise.

    .venv/bin/python benchmarks/check_speed.py [--counts 4 40 400] [--repeats 3]

A made-up project: each pipeline has a file, which imports its components from two modules that all share and from one
of its own. *Cold*: nothing is kept from before. *Warm*: nothing has changed. *One edited*: one pipeline's own module
has. The others, which keep nothing: `kfp dsl compile` for each file, and each file run by Python, which imports and
compiles it (as with `Compiler().compile(...)` below `__main__`). They are measured on four files, spread over the
repeats, and multiplied. Whole processes: the median of the wall time, of the processors' time (which other work on the
machine changes less), and how many times as much of that as `compile --check` warm takes.
"""

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

BIN = Path(sys.executable).parent

SHARED = '''
from turnout import Dataset, Input, Metrics, Model, Output, component


@component
def {name}_read(source: str, data: Output[Dataset], rows: int = 100):
    """Read.

    Args:
        source: where from.
        data: the rows.
        rows: how many.
    """
    data.metadata["rows"] = rows


@component
def {name}_fit(data: Input[Dataset], model: Output[Model], metrics: Output[Metrics], rate: float = 0.1):
    """Fit.

    Args:
        data: the rows.
        model: the model.
        metrics: how good it is.
        rate: of learning.
    """
    metrics.log_metric("rate", rate)
'''

PIPELINE = '''
import kfp.compiler
from turnout import pipeline
from shared.first import first_fit, first_read
from shared.second import second_fit
from pieces.piece_{number} import own_fit, own_read


@pipeline(name="flow-{number}")
def flow(source: str = "a", rate: float = {number}.5):
    """Train.

    Args:
        source: where from.
        rate: of learning.
    """
    data = first_read(source=source)
    more = own_read(source=source)
    first_fit(data=data.outputs["data"], rate=rate)
    second_fit(data=more.outputs["data"], rate=rate)
    own_fit(data=more.outputs["data"], rate=rate).set_retry(2)


if __name__ == "__main__":
    kfp.compiler.Compiler().compile(flow, "{number}.out.yaml")
'''


def project(directory: Path, count: int) -> None:
    """Write a project with so many pipelines."""
    for folder in ("shared", "pieces", "pipelines"):
        (directory / folder).mkdir(parents=True)
    (directory / "pyproject.toml").write_text("[tool.turnout]\nimage = 'team:1'\n")
    for name in ("first", "second"):
        (directory / "shared" / f"{name}.py").write_text(SHARED.format(name=name))
    for number in range(count):
        (directory / "pieces" / f"piece_{number}.py").write_text(SHARED.format(name="own"))
        (directory / "pipelines" / f"flow_{number}.py").write_text(PIPELINE.format(number=number))


def seconds(command: list[str], directory: Path, *, expected: int = 0) -> tuple[float, float]:
    """The wall time of a command, and the processors' time of it and all that it started."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    environment |= {"XDG_CACHE_HOME": str(directory / "cache"), "PYTHONPATH": str(directory)}
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != expected:
        sys.exit(f"{command}: {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measured(directory: Path, count: int, repeats: int) -> dict[str, list[tuple[float, float]]]:
    """The times of each way, taken in turn."""
    compile_check, check = [str(BIN / "turnout"), "compile", "--check"], [str(BIN / "turnout"), "check", "--json"]
    found: dict[str, list[tuple[float, float]]] = {}

    def add(name: str, value: tuple[float, float], times: int = 1) -> None:
        found.setdefault(name, []).append((times * value[0], times * value[1]))

    seconds([str(BIN / "turnout"), "compile"], directory)
    for repeat in range(repeats):
        for name, command in {"compile --check": compile_check, "check": check}.items():
            shutil.rmtree(directory / "cache")
            add(f"{name}, cold", seconds(command, directory))
            add(f"{name}, warm", seconds(command, directory))
            piece = directory / "pieces" / f"piece_{repeat}.py"
            before = piece.read_text()
            piece.write_text(before.replace("= rows\n", "= rows + 1\n"))
            # A component's code has changed, which `compile --check` is there to say.
            add(f"{name}, one edited", seconds(command, directory, expected=3 if command is compile_check else 0))
            piece.write_text(before)
        number = repeat % count
        add("Python, each file", seconds([sys.executable, f"pipelines/flow_{number}.py"], directory), count)
        kfp = ["dsl", "compile", "--py", f"pipelines/flow_{number}.py", "--output", f"{number}.kfp.yaml"]
        add("kfp dsl compile, each file", seconds([str(BIN / "kfp"), *kfp], directory), count)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counts", type=int, nargs="+", default=[4, 40, 400])
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    table = Table("pipelines", "", "wall s", "CPU s", "times the CPU of compile --check, warm")
    for count in arguments.counts:
        with tempfile.TemporaryDirectory() as name:
            project(Path(name), count)
            found = measured(Path(name), count, arguments.repeats)
        medians = {way: [statistics.median(each) for each in zip(*times, strict=True)] for way, times in found.items()}
        for way, (wall, cpu) in medians.items():
            ratio = cpu / medians["compile --check, warm"][1]
            table.add_row(str(count), way, f"{wall:.2f}", f"{cpu:.2f}", f"{ratio:,.1f}")
        table.add_section()
    Console().print(table)


if __name__ == "__main__":
    main()
