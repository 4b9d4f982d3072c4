"""A drift check in seconds and memory: Turnout beside Evidently, on the same rows, each in a process of its own.

    .venv/bin/python benchmarks/monitoring_speed.py [--rows-spark 50000000] [--evidently PYTHON]

    flights      the flights with their features, in two random halves, all columns: from two Parquet files to findings
    kept         Turnout as it is used: the reference's profile is there already
    on Spark     flights drawn again and again, counted by `local[2]`; Evidently gets what fits into its memory

Evidently is installed into an environment that is thrown away, unless an interpreter that has it is named. Imports are
made before the clock starts; memory is the most that a process and its children had together, imports and all.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil
from batch_inference import resident

MEASURE = """
import json, sys, time
{imports}
reference, current = sys.argv[1:3]
started = time.perf_counter()
{body}
seconds = time.perf_counter() - started
print(json.dumps([seconds, found]))
"""

EVIDENTLY = MEASURE.format(
    imports="import pandas as pd\nfrom evidently import Report\nfrom evidently.presets import DataDriftPreset",
    body="""
tables = [pd.read_parquet(path) for path in (current, reference)]
result = Report([DataDriftPreset()]).run(*tables).dict()
found = int(result["metrics"][0]["value"]["count"])
""",
)
IMPORTS = """
import pyarrow.dataset as ds, pyarrow.parquet as pq
from turnout.monitoring.checks.drift import compare
from turnout.monitoring.profile import Profile, count_dataset, make_profile
"""
TURNOUT = MEASURE.format(
    imports=IMPORTS,
    body="""
profile = make_profile(pq.read_table(reference))
found = len(compare(profile, count_dataset(ds.dataset(current), profile)).drifted)
""",
)
KEPT = MEASURE.format(
    imports=IMPORTS,
    body="""
profile = Profile.from_json(open(reference).read())
found = len(compare(profile, count_dataset(ds.dataset(current), profile)).drifted)
""",
)
SPARK = MEASURE.format(
    imports=IMPORTS
    + """
from turnout.monitoring.spark_counts import count_on_spark
from turnout.engines.spark_session import connect
local = {"spark.driver.bindAddress": "127.0.0.1", "spark.driver.host": "127.0.0.1", "spark.driver.memory": "2g"}
session = connect("local[2]", local)
session.range(4).mapInArrow(lambda batches: batches, "id long").collect()
""",
    body="""
profile = Profile.from_json(open(reference).read())
found = len(compare(profile, count_on_spark(current, profile, session)).drifted)
""",
)


def measure(python: str, code: str, *arguments: Path) -> tuple[float, float, int]:
    """Seconds, MiB and columns that drifted, of code in a process of its own."""
    environment = os.environ | {"PYTHONWARNINGS": "ignore", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    process = psutil.Popen(
        [python, "-c", code, *map(str, arguments)], env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    most = 0.0
    while process.poll() is None:
        most = max(most, resident(process))
        time.sleep(0.02)
    if process.returncode:
        raise SystemExit(f"{python} ended with {process.returncode}")
    seconds, found = json.loads(process.stdout.read().decode().strip().splitlines()[-1])
    return seconds, most, found


def features() -> Any:
    """The flights with their features."""
    import pandas as pd
    from kfp.dsl import Dataset

    from turnout.components.featurise import featurise

    root = Path(__file__).parents[1]
    os.chdir(root)
    with tempfile.TemporaryDirectory() as directory:
        out = Dataset(name="features", uri=f"{directory}/features")
        featurise.python_func(
            entities=Dataset(name="data", uri=str(root / "data/flights/flights.parquet")),
            features=out,
            feature_service="flight_delay", repository="feature_repo", sources="data/flights",
        )  # fmt: skip
        return pd.read_parquet(out.path)


def repeated(table: Any, rows: int, directory: Path) -> None:
    """Rows of a table, drawn again and again, in files of a million."""
    import numpy as np

    rng = np.random.default_rng(0)
    directory.mkdir()
    for index, start in enumerate(range(0, rows, 1_000_000)):
        part = table.iloc[rng.integers(0, len(table), min(1_000_000, rows - start))]
        part.to_parquet(directory / f"{index:03}.parquet", index=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows-spark", type=int, default=50_000_000)
    parser.add_argument("--rows-evidently", type=int, default=5_000_000, help="of the same, for Evidently")
    parser.add_argument("--evidently", default="", help="an interpreter that has Evidently")
    options = parser.parse_args()
    import numpy as np
    import pyarrow as pa

    from turnout.monitoring.profile import make_profile

    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory)
        theirs = options.evidently
        if not theirs:
            subprocess.run(["uv", "venv", "--quiet", home / "venv"], check=True)
            theirs = str(home / "venv/bin/python")
            subprocess.run(["uv", "pip", "install", "--quiet", "--python", theirs, "evidently", "pandas<3"], check=True)
        table = features().drop(columns=["flight_id", "event_timestamp"])
        half = np.random.default_rng(0).random(len(table)) < 0.5
        reference, current, profile = (home / name for name in ("reference.parquet", "current.parquet", "profile.json"))
        table[half].to_parquet(reference, index=False)
        table[~half].to_parquet(current, index=False)
        profile.write_text(make_profile(pa.Table.from_pandas(table[half], preserve_index=False)).to_json())
        print(f"{len(table):,} flights in two halves, {len(table.columns)} columns")
        print(f"{'':12}{'seconds':>10}{'times faster':>14}{'MiB':>8}{'drifted':>9}")
        base = measure(theirs, EVIDENTLY, reference, current)
        ways = {
            "Evidently": base,
            "Turnout": measure(sys.executable, TURNOUT, reference, current),
            "kept": measure(sys.executable, KEPT, profile, current),
        }
        for name, (seconds, memory, found) in ways.items():
            print(f"{name:12}{seconds:10.2f}{base[0] / seconds:14.1f}{memory:8,.0f}{found:9}")
        print("\nflights drawn again and again, against the same reference")
        print(f"{'':24}{'rows':>12}{'seconds':>10}{'million rows/s':>16}{'MiB':>8}{'drifted':>9}")
        for name, rows, python, code, known in (
            ("Evidently", options.rows_evidently, theirs, EVIDENTLY, reference),
            ("Turnout, one process", options.rows_evidently, sys.executable, KEPT, profile),
            ("Turnout, Spark local[2]", options.rows_spark, sys.executable, SPARK, profile),
        ):
            many = home / f"{rows}"
            if not many.exists():
                repeated(table, rows, many)
            seconds, memory, found = measure(python, code, known, many)
            print(f"{name:24}{rows:12,}{seconds:10.1f}{rows / seconds / 1e6:16.2f}{memory:8,.0f}{found:9}")


if __name__ == "__main__":
    main()
