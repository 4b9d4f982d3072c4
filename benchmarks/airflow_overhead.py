"""What a step costs on a real Airflow: a compiled step against a BashOperator, side by side.

    .venv-airflow/bin/python benchmarks/airflow_overhead.py [--rounds N | --growth]

A standalone Airflow (SQLite, LocalExecutor) runs chains of ten tasks, one run at a time and each way in turn:
steps of a compiled pipeline; a BashOperator that runs `true`; and a BashOperator that starts a Python with
nothing in it, in the components' environment, which is the least that a step has to do. The figure is the
median time from one task's start to the next one's.

Before that: what a task pays for its pipeline's plan, in pipelines of 10, 100 and 1,000 steps. The first task on a
machine reads and links the YAML, the others take what it has kept.

With --growth instead: how runs grow, as loops of up to 500 iterations and as 1,000 steps side by side, each beside
mapped or plain BashOperators.
"""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "tests" / "airflow"), str(HERE.parent / "tests")]
COMPONENTS = HERE.parent / ".venv" / "bin"
TASKS = 10

LENGTHS = (10, 100, 1000)

PIPELINE = f'''
from turnout import component, pipeline

@component
def work(x: str) -> str:
    """Give a text back.

    Args:
        x: any text.
    """
    return x

def make(name, length):
    @pipeline(name=name)
    def chain(x: str = "a"):
        """Give a text from step to step.

        Args:
            x: any text.
        """
        value = work(x=x).set_caching_options(False)
        for _ in range(length - 1):
            value = work(x=value.output).set_caching_options(False)

    return chain

chain = make("turnout", {TASKS})
'''
PLANS = "".join(f"chain_{length} = make('chain-{length}', {length})\n" for length in LENGTHS)

BASH = """
from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG, chain

with DAG("{name}", schedule=None) as dag:
    chain(*[BashOperator(task_id=f"task-{{i}}", bash_command={command!r}) for i in range({tasks})])
"""

GROWTH = {"loop": (50, 500), "wide": (100, 1000)}

LOOPS = '''
from kfp import dsl
from turnout import component, pipeline

@component
def work(n: int) -> int:
    """Give a number back.

    Args:
        n: any number.
    """
    return n

def loop(count):
    @pipeline(name=f"loop-{count}")
    def made():
        with dsl.ParallelFor(list(range(count)), name="all") as n:
            work(n=n).set_caching_options(False)

    return made

def wide(count):
    @pipeline(name=f"wide-{count}")
    def made():
        for n in range(count):
            work(n=n).set_caching_options(False)

    return made

loop_50, loop_500, wide_100, wide_1000 = loop(50), loop(500), wide(100), wide(1000)
'''

BASH_GROWTH = {
    "loop": """
from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG

with DAG("{name}", schedule=None):
    BashOperator.partial(task_id="work").expand(bash_command=["true"] * {count})
""",
    "wide": """
from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG

with DAG("{name}", schedule=None):
    for n in range({count}):
        BashOperator(task_id=f"work-{{n}}", bash_command="true")
""",
}


def reading(home: Path) -> None:
    """Print what it takes to have a plan, for the first task and for those after it."""
    from turnout.airflow import plans
    from turnout.spec.document import digest

    (home / "lengths.py").write_text(PIPELINE + PLANS)
    sources = [f"lengths.py:chain_{length}" for length in LENGTHS]
    subprocess.run([COMPONENTS / "turnout", "compile", *sources, "--out", home / "lengths"], cwd=home, check=True)
    os.environ["XDG_CACHE_HOME"] = str(home / "cache")
    print(f"\n{'':14}{'first task':>16}{'others':>14}   ratio")
    for length in LENGTHS:
        file = home / "lengths" / f"chain_{length}.yaml"
        wanted = digest(file.read_text())
        times: dict[bool, list[float]] = {True: [], False: []}
        for turn in range(6):
            first = not turn % 2
            if first:
                plans._place(wanted).unlink(missing_ok=True)
            plans.read_plan.cache_clear()
            started = time.perf_counter()
            plans.read_plan(str(file), wanted)
            times[first].append(time.perf_counter() - started)
        linked, kept = (min(times[first]) * 1000 for first in (True, False))
        print(f"{length:5} steps   {linked:13.1f} ms{kept:11.1f} ms   {linked / kept:.0f}x")


def growing(home: Path) -> None:
    """Print how long runs of many tasks take, in all and for each task."""
    from server import Server

    dags = home / "dags"
    dags.mkdir()
    (home / "growth.py").write_text(LOOPS)
    cases = [(kind, count) for kind, counts in GROWTH.items() for count in counts]
    sources = [f"growth.py:{kind}_{count}" for kind, count in cases]
    subprocess.run([COMPONENTS / "turnout", "compile", *sources, "--out", dags], cwd=home, check=True)
    for kind, count in cases:
        name = f"bash-{kind}-{count}"
        (dags / f"{name}.py").write_text(BASH_GROWTH[kind].format(name=name, count=count))
    names = [f"{way}{kind}-{count}" for kind, count in cases for way in ("bash-", "")]
    server = Server(home, {"AIRFLOW__TURNOUT__PYTHON": str(COMPONENTS / "python"), "PYTHONPATH": str(home)})
    took = {}
    try:
        server.start()
        server.unpause(*names)
        for name in names:
            started = time.monotonic()
            assert server.ended(name, server.trigger(name), 1800) == "success", name
            took[name] = time.monotonic() - started
            print(f"{name:18}{took[name]:8.1f} s", flush=True)
    finally:
        server.stop()
    print(f"\n{'':12}{'Turnout':>10}{'for each':>12}{'BashOperator':>16}   ratio")
    for kind, count in cases:
        ours, theirs = took[f"{kind}-{count}"], took[f"bash-{kind}-{count}"]
        each = ours / count * 1000
        print(f"{kind:5} {count:5} {ours:9.1f} s{each:9.0f} ms{theirs:14.1f} s   {ours / theirs:.2f}x")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--growth", action="store_true", help="how runs grow, in the place of what a step costs")
    options = parser.parse_args()
    os.environ.setdefault("AIRFLOW__CORE__LOAD_EXAMPLES", "False")
    from server import Server

    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory)
        if options.growth:
            growing(home)
            return
        reading(home)
        dags = home / "dags"
        dags.mkdir()
        (home / "overhead.py").write_text(PIPELINE)
        subprocess.run([COMPONENTS / "turnout", "compile", "overhead.py:chain", "--out", dags], cwd=home, check=True)
        commands = {"bash": "true", "bash-python": f"{COMPONENTS}/python -c pass"}
        for name, command in commands.items():
            (dags / f"{name}.py").write_text(BASH.format(name=name, command=command, tasks=TASKS))
        variables = {"AIRFLOW__TURNOUT__PYTHON": str(COMPONENTS / "python"), "PYTHONPATH": directory}
        server = Server(home, variables | {"PYTHONDONTWRITEBYTECODE": ""})  # as an installation has it
        times: dict[str, list[float]] = {name: [] for name in ("bash", "bash-python", "turnout")}
        inside: dict[str, list[float]] = {name: [] for name in times}
        try:
            server.start()
            server.unpause(*times)
            for turn in range(options.rounds + 1):
                for name in times:
                    run = server.trigger(name)
                    assert server.ended(name, run, 180) == "success"
                    tasks = server.tasks(name, run).values()
                    starts = sorted(datetime.fromisoformat(task["start_date"]) for task in tasks)
                    if turn:  # the first is for warming up
                        times[name] += [
                            (after - before).total_seconds() for before, after in itertools.pairwise(starts)
                        ]
                        inside[name] += [task["duration"] for task in tasks]
        finally:
            server.stop()
    print(f"\n{'':14}{'start to start':>16}{'in the task':>14}   ratio to BashOperator")
    middle = {name: statistics.median(found) for name, found in times.items()}
    for name, value in middle.items():
        ratio = value / middle["bash"]
        print(f"{name:14}{value:14.2f} s{statistics.median(inside[name]):12.2f} s   {ratio:.2f}x")


if __name__ == "__main__":
    main()
