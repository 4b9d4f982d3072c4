"""What parsing costs: compiled DAG files, hand-written TaskFlow files and dag-factory's YAML, side by side.

    .venv-airflow/bin/python benchmarks/airflow_parse.py [--rounds N]

Chains of 7, 50 and 500 tasks in one file, and 100 files of 7 tasks. The compiled files are of a KFP pipeline of
lightweight components, the hand-written ones do the same with `@task`, dag-factory's are what its documentation
shows for such a chain. dag-factory lives in an environment of its own that is made on the first use. Each
figure is the median time to execute the file or files again in one process that has imported everything.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
COMPONENTS = HERE.parent / ".venv" / "bin"
OTHER = HERE.parent / ".turnout" / "benchmarks" / "dag-factory"
SHAPES = {"7 tasks": (7, 1), "50 tasks": (50, 1), "500 tasks": (500, 1), "100 files of 7": (7, 100)}

COMPILE = """
import sys
from pathlib import Path
from kfp import dsl
from turnout.authoring.pipeline import compile_pipeline
from turnout.verbs import compile as compile_to

@dsl.component(base_image="python:3.11", install_kfp_package=False)
def work(x: str) -> str:
    return x

out, tasks, files = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
for index in range(files):
    @dsl.pipeline(name=f"chain-{tasks}-{index}")
    def chain(x: str = "a"):
        value = work(x=x)
        for _ in range(tasks - 1):
            value = work(x=value.output)
    for path, text in compile_to(compile_pipeline(chain)).items():
        (out / path).write_text(text)
"""


def compiled(out: Path, tasks: int, files: int) -> None:
    script = out / "compile.py"  # KFP reads a component's source from its file
    script.write_text(COMPILE)
    subprocess.run([COMPONENTS / "python", script, out, str(tasks), str(files)], check=True)


def hand_written(out: Path, tasks: int, files: int) -> None:
    for index in range(files):
        lines = [
            "from airflow.sdk import DAG, Param, task",
            "",
            f"with DAG('hand-{tasks}-{index}', schedule=None, params={{'x': Param('a', type='string')}}) as dag:",
            "    @task",
            "    def work(x):",
            "        return x",
            "",
            "    work_0 = work.override(task_id='work-0')(dag.param('x'))",
        ]
        lines += [f"    work_{i} = work.override(task_id='work-{i}')(work_{i - 1})" for i in range(1, tasks)]
        (out / f"chain_{index}.py").write_text("\n".join(lines) + "\n")


def dag_factory(out: Path, tasks: int, files: int) -> None:
    (out / "work.py").write_text("def work(x):\n    return x\n")
    for index in range(files):
        lines = [
            "default:",
            "  default_args: {start_date: 2024-01-01}",
            f"factory_{tasks}_{index}:",
            "  schedule: null",
            "  tasks:",
        ]
        for i in range(tasks):
            before = f"[work_{i - 1}]" if i else "[]"
            value = f"+work_{i - 1}" if i else "a"
            lines += [
                f"    - task_id: work_{i}",
                "      decorator: airflow.sdk.task",
                "      python_callable: work.work",
                f"      x: {value}",
                f"      dependencies: {before}",
            ]
        (out / f"chain_{index}.yml").write_text("\n".join(lines) + "\n")
        (out / f"chain_{index}.py").write_text(
            "from dagfactory import load_yaml_dags\n"
            f"load_yaml_dags(globals_dict=globals(), config_filepath={str(out / f'chain_{index}.yml')!r})\n"
        )


def measure(directory: Path, rounds: int) -> list[float]:
    """Seconds to execute all DAG files of a directory, in each round."""
    import airflow.sdk
    from airflow.sdk import DAG

    sys.path.insert(0, str(directory))
    codes = [(path, compile(path.read_text(), str(path), "exec")) for path in sorted(directory.glob("chain_*.py"))]
    found = []
    for _ in range(rounds + 1):
        started = time.perf_counter()
        count = 0
        for path, _ in codes:
            names = {"__file__": str(path), "__name__": path.stem}
            exec(compile(path.read_text(), str(path), "exec"), names)
            count += sum(isinstance(value, DAG) for value in names.values())
        found.append(time.perf_counter() - started)
        assert count >= len(codes), f"{count} DAGs in {len(codes)} files"
    assert airflow.sdk
    return found[1:]


def other_python() -> Path | None:
    """The environment with dag-factory; None when it cannot be made."""
    python = OTHER / "bin" / "python"
    if not python.exists():
        uv = COMPONENTS / "uv"
        subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, OTHER], check=True)
        pins = [f"apache-airflow=={importlib.metadata.version('apache-airflow')}", "dag-factory"]
        done = subprocess.run(
            [uv, "pip", "install", "--quiet", "--python", python, *pins], capture_output=True, text=True
        )
        if done.returncode:
            print(done.stderr)
            return None
    return python


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--measure", type=Path, help="only that directory, as JSON")
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.measure, options.rounds)))
        return
    ways = {"Turnout": (compiled, sys.executable), "hand-written": (hand_written, sys.executable)}
    if python := other_python():
        ways["dag-factory"] = (dag_factory, str(python))
    print(f"{'':16}" + "".join(f"{name:>16}" for name in ways) + f"{'ratio to hand-written':>26}")
    for shape, (tasks, files) in SHAPES.items():
        times: dict[str, list[float]] = {name: [] for name in ways}
        with tempfile.TemporaryDirectory() as root:
            for name, (make, _) in ways.items():
                (Path(root) / name).mkdir()
                make(Path(root) / name, tasks, files)
            for _ in range(3):  # the machine drifts: each way in turn
                for name, (_, python) in ways.items():
                    command = [python, __file__, "--measure", Path(root) / name, "--rounds", str(options.rounds)]
                    environment = {**os.environ, "AIRFLOW_HOME": root, "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
                    done = subprocess.run(command, env=environment, capture_output=True, text=True)
                    if done.returncode:
                        raise SystemExit(done.stderr)
                    times[name] += json.loads(done.stdout.splitlines()[-1])
        middle = {name: statistics.median(found) * 1000 for name, found in times.items()}
        ratios = ", ".join(
            f"{name} {value / middle['hand-written']:.2f}x" for name, value in middle.items() if name != "hand-written"
        )
        print(f"{shape:16}" + "".join(f"{value:13.1f} ms" for value in middle.values()) + f"   {ratios}")


if __name__ == "__main__":
    main()
