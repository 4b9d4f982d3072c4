"""The page of a run with many steps, in a real browser: how large it is, and when the first of it is seen.

    .venv-airflow/bin/python benchmarks/run_page.py [--steps 500] [--loads 5]

A loop makes a report with a table, a figure and a metric in each iteration, on the local track. Then Chromium opens
the run's page, which is drawn as Airflow's tab is. Printed are its size, and the median over the loads of the first
paint and of the end of loading, as the browser's own clock tells them.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "tests" / "airflow"), str(HERE.parent / "tests")]

PIPELINE = '''
from kfp import dsl

import turnout
from turnout import HTML, Metrics, Output, component, pipeline

@component
def fit(index: int, report: Output[HTML], metrics: Output[Metrics]):
    """Tell of a model.

    Args:
        index: which.
        report: what it is like.
        metrics: how good it is.
    """
    points = " ".join(f"{10 * x},{(index * x) % 90}" for x in range(30))
    with turnout.report(report, f"Model {index}") as page:
        page.verdict("Good enough", reasons=["better than the one before"])
        page.table([{"row": row, "value": row * index} for row in range(20)])
        line = f'<polyline fill="none" stroke="black" points="{points}"/>'
        page.figure(f'<svg viewBox="0 0 300 100">{line}</svg>', "A line.")
    metrics.log_metric("score", index / 1000)

@pipeline
def many():
    """Fit many models."""
    with dsl.ParallelFor(list(range(STEPS))) as index:
        fit(index=index)
'''

TIMES = """() => ({
  paint: performance.getEntriesByName("first-contentful-paint")[0].startTime,
  loaded: performance.getEntriesByType("navigation")[0].loadEventEnd,
})"""


def main() -> None:
    from playwright.sync_api import sync_playwright
    from visitor import chromium

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--loads", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        (place / "many.py").write_text(PIPELINE.replace("STEPS", str(arguments.steps)))
        command = [HERE.parent / ".venv" / "bin" / "turnout", "run", "many.py", "--run-id", "many", "--json"]
        subprocess.run(command, cwd=place, check=True, stdout=subprocess.DEVNULL)
        (page_file,) = place.glob(".turnout/*/many/report.html")
        times = []
        with sync_playwright() as playwright:
            path = chromium(playwright.chromium.executable_path)
            browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
            for _ in range(arguments.loads):
                page = browser.new_page()
                page.goto(page_file.as_uri(), wait_until="load")
                page.wait_for_function("performance.getEntriesByName('first-contentful-paint').length")
                times.append(page.evaluate(TIMES))
                page.close()
            browser.close()
        size = page_file.stat().st_size
    print(f"{arguments.steps} steps: a page of {size / 1000:,.0f} kB")
    for name in ("paint", "loaded"):
        print(f"{name:7} {statistics.median(time[name] for time in times):6.0f} ms")


if __name__ == "__main__":
    main()
