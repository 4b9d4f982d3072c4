"""What running a step costs beside the step itself: Turnout, kfp.local, Metaflow and Kedro, side by side.

    .venv/bin/python benchmarks/local_overhead.py [--only NAME ...] [--growth]

No-op steps: chains of 10 and of 100, and a loop of 100 iterations. Turnout and kfp.local run the same
KFP pipelines of lightweight components (kfp.local with `use_venv=False` and nothing to install, which is
its best case). Metaflow (its local runner) and Kedro (ParallelRunner) run the same graphs, in an
environment of their own that is made on the first use. A step's overhead is the slope: (chain of 100 -
chain of 10) / 90. Turnout, kfp.local and Metaflow give each step a process of its own; Kedro's workers
run many. With --growth instead: how Turnout's own time for a step changes in loops of up to 500 iterations and in
pipelines of up to 1,000 steps, one after the other and side by side.
"""

import argparse
import contextlib
import inspect
import io
import json
import logging
import subprocess
import sys
import tempfile
import time
import venv
import warnings
from pathlib import Path

from rich.console import Console
from rich.table import Table

warnings.filterwarnings("ignore")
HERE = Path(__file__).parent
OTHERS = ("metaflow==2.19.39", "kedro==1.7.0")


def pipelines() -> dict:
    """The KFP pipelines, by name."""
    from kfp import dsl

    @dsl.component(base_image="python:3.11", install_kfp_package=False)
    def noop(x: str) -> str:
        return x

    @dsl.pipeline(name="chain-10")
    def chain_10():
        value = noop(x="a").set_caching_options(False)
        for _ in range(9):
            value = noop(x=value.output).set_caching_options(False)

    @dsl.pipeline(name="chain-100")
    def chain_100():
        value = noop(x="a").set_caching_options(False)
        for _ in range(99):
            value = noop(x=value.output).set_caching_options(False)

    @dsl.pipeline(name="loop-100")
    def loop_100():
        with dsl.ParallelFor([str(index) for index in range(100)]) as item:
            noop(x=item).set_caching_options(False)

    return {"chain 10": chain_10, "chain 100": chain_100, "loop 100": loop_100}


def turnout(directory: Path) -> dict[str, float]:
    from turnout.authoring.pipeline import compile_pipeline
    from turnout.execution.store import ArtifactStore
    from turnout.plan.link import link
    from turnout.tracks.local import runner as local

    found = {}
    for name, pipeline in pipelines().items():
        plan = link(compile_pipeline(pipeline))
        started = time.perf_counter()
        result = local.run(plan, {}, ArtifactStore(str(directory)), "run", local.Options(use_cache=False))
        found[name] = time.perf_counter() - started
        assert result.state == "SUCCEEDED", result
    return found


def kfp_local(directory: Path) -> dict[str, float]:
    from kfp import local

    local.init(runner=local.SubprocessRunner(use_venv=False), pipeline_root=str(directory))
    logging.disable(logging.CRITICAL)
    found = {}
    for name, pipeline in pipelines().items():
        started = time.perf_counter()
        with contextlib.redirect_stdout(io.StringIO()):
            pipeline()
        found[name] = time.perf_counter() - started
    logging.disable(logging.NOTSET)
    return found


METAFLOW = """
from metaflow import FlowSpec, step
class Noop(FlowSpec):
{steps}
if __name__ == "__main__":
    Noop()
"""


def metaflow(directory: Path) -> dict[str, float]:
    def chain(length: int) -> str:
        names = ["start", *(f"s{index}" for index in range(length - 2)), "end"]
        after = [*(f"self.next(self.{name})" for name in names[1:]), "pass"]
        return "".join(
            f"    @step\n    def {name}(self):\n        {line}\n" for name, line in zip(names, after, strict=True)
        )

    loop = (
        "    @step\n    def start(self):\n        self.items = list(range(100))\n"
        "        self.next(self.each, foreach='items')\n"
        "    @step\n    def each(self):\n        self.next(self.gather)\n"
        "    @step\n    def gather(self, inputs):\n        self.next(self.end)\n"
        "    @step\n    def end(self):\n        pass\n"
    )
    found = {}
    for name, steps in (("chain 10", chain(10)), ("chain 100", chain(100)), ("loop 100", loop)):
        file = directory / "flow.py"
        file.write_text(METAFLOW.format(steps=steps))
        command = [
            str(others()),
            str(file),
            "--quiet",
            "--no-pylint",
            "run",
            "--max-workers",
            "2",
            "--max-num-splits",
            "200",
        ]
        started = time.perf_counter()
        subprocess.run(
            command,
            cwd=directory,
            check=True,
            capture_output=True,
            env={"USERNAME": "benchmark", "PATH": "/usr/bin:/bin"},
        )
        found[name] = time.perf_counter() - started
    return found


KEDRO = """
import json, sys, time, logging
logging.disable(logging.CRITICAL)
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import node, pipeline
from kedro.runner import ParallelRunner

def noop(x):
    return x

def chain(length):
    return pipeline([node(noop, f"x{i}", f"x{i + 1}", name=f"n{i}") for i in range(length)])

def loop(length):
    return pipeline([node(noop, "x0", f"y{i}", name=f"n{i}") for i in range(length)])

if __name__ == "__main__":
    found = {}
    for name, graph in (("chain 10", chain(10)), ("chain 100", chain(100)), ("loop 100", loop(100))):
        catalog = DataCatalog({"x0": MemoryDataset("a")})
        started = time.perf_counter()
        try:
            from kedro.io import SharedMemoryDataCatalog
            catalog = SharedMemoryDataCatalog({"x0": MemoryDataset("a")})
        except ImportError:
            pass
        ParallelRunner(max_workers=2).run(graph, catalog)
        found[name] = time.perf_counter() - started
    print(json.dumps(found))
"""


def kedro(directory: Path) -> dict[str, float]:
    file = directory / "kedro_noop.py"
    file.write_text(KEDRO)
    done = subprocess.run([str(others()), str(file)], cwd=directory, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def others() -> Path:
    """The interpreter of the environment of Metaflow and Kedro."""
    place = HERE.parent / ".turnout" / "benchmarks"
    python = place / "bin" / "python"
    if not (place / "ready").exists():
        venv.create(place, with_pip=True, clear=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *OTHERS], check=True)
        (place / "ready").touch()
    return python


def growth() -> dict[str, dict[int, float]]:
    """Seconds of runs by Turnout, by shape and number of steps."""
    from kfp import dsl

    from turnout.authoring.pipeline import compile_pipeline
    from turnout.execution.store import ArtifactStore
    from turnout.plan.link import link
    from turnout.tracks.local import runner as local

    @dsl.component(base_image="python:3.11", install_kfp_package=False)
    def noop(x: str) -> str:
        return x

    def chain(count: int) -> None:
        value = noop(x="a").set_caching_options(False)
        for _ in range(count - 1):
            value = noop(x=value.output).set_caching_options(False)

    def beside(count: int) -> None:
        for index in range(count):
            noop(x=str(index)).set_caching_options(False)

    def loop(count: int) -> None:
        with dsl.ParallelFor([str(index) for index in range(count)]) as item:
            noop(x=item).set_caching_options(False)

    found: dict[str, dict[int, float]] = {}
    for shape, counts in ((loop, (100, 250, 500)), (chain, (100, 500, 1000)), (beside, (100, 500, 1000))):
        for count in counts:

            def pipeline(shape=shape, count=count):
                shape(count)

            pipeline.__signature__ = inspect.Signature()
            plan = link(compile_pipeline(dsl.pipeline(name=f"{shape.__name__}-{count}")(pipeline)))
            with tempfile.TemporaryDirectory() as directory:
                started = time.perf_counter()
                result = local.run(plan, {}, ArtifactStore(directory), "run", local.Options(use_cache=False))
                found.setdefault(shape.__name__, {})[count] = time.perf_counter() - started
            assert result.state == "SUCCEEDED", result
    return found


TOOLS = {"turnout": turnout, "kfp.local": kfp_local, "metaflow": metaflow, "kedro": kedro}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", choices=TOOLS, default=list(TOOLS))
    parser.add_argument("--growth", action="store_true")
    options = parser.parse_args()
    console = Console(width=110)
    if options.growth:
        table = Table("", "steps", "seconds", "ms for each further step")
        for shape, times in growth().items():
            before = (0, 0.0)
            for count, seconds in times.items():
                further = (seconds - before[1]) / (count - before[0]) * 1000
                table.add_row(shape, str(count), f"{seconds:.2f}", f"{further:.1f}" if before[0] else "")
                before = count, seconds
        console.print(table)
        return
    found: dict[str, dict[str, float]] = {}
    for name in options.only:
        if name in ("metaflow", "kedro"):
            others()  # made before the clock starts
        with tempfile.TemporaryDirectory() as directory:
            found[name] = TOOLS[name](Path(directory))
        print(f"{name}: {found[name]}", file=sys.stderr)
    table = Table("", "chain 10, s", "chain 100, s", "loop 100, s", "ms a step", "ratio to turnout")
    slopes = {name: (times["chain 100"] - times["chain 10"]) / 90 * 1000 for name, times in found.items()}
    for name, times in found.items():
        ratio = f"{slopes[name] / slopes['turnout']:.1f}" if "turnout" in slopes else ""
        table.add_row(name, *(f"{value:.2f}" for value in times.values()), f"{slopes[name]:.1f}", ratio)
    console.print(table)


if __name__ == "__main__":
    main()
