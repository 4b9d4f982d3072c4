"""`turnout monitoring`: alert rules and a dashboard for pipelines, and how their steps do."""

from __future__ import annotations

import dataclasses
import datetime
import itertools
import json
from pathlib import Path

from rich.console import Console
from rich.table import Table

from turnout.errors import TurnoutError
from turnout.monitoring.export import alert_rules, dashboard, monitors
from turnout.monitoring.system import QUANTILES, step_metrics, summarise
from turnout.plan.link import link
from turnout.runtime.store import ArtifactStore
from turnout.source import load


def export(sources: list[str]) -> dict[Path, str]:
    """The files for pipelines: rules of Prometheus, and a dashboard of Grafana.

    Raises:
        TurnoutError: none of them has a monitor, or two monitors have one name.
    """
    plans = [link(load(source)) for source in sources]
    pipelines = [(plan.name, list(monitors(plan))) for plan in plans]
    found = [monitor for _, of in pipelines for monitor in of]
    if not found:
        raise TurnoutError(f"no monitor @ {', '.join(plan.name for plan in plans)}\n  hint: use the component monitor")
    known: dict[str, str] = {}
    for monitor in found:
        if monitor.name in known:
            raise TurnoutError(f"two monitors are called '{monitor.name}' @ {known[monitor.name]}, {monitor.pipeline}")
        known[monitor.name] = monitor.pipeline
    return {Path("rules.yml"): alert_rules(pipelines), Path("dashboard.json"): dashboard(pipelines)}


def show_steps(root: str, days: float, prometheus: str, as_json: bool) -> None:
    """Print how steps did, and publish it."""
    since = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=days)
    found = summarise(ArtifactStore(root), since)
    if prometheus:
        step_metrics(found).publish(prometheus)
    if as_json:
        print(json.dumps([dataclasses.asdict(item) for item in found], indent=2))
        return
    if not found:
        print(f"no step has run in {days:g} days @ {root}")
    times = [f"p{round(100 * quantile)}" for quantile in QUANTILES]
    for pipeline, items in itertools.groupby(found, key=lambda item: item.pipeline):
        table = Table("step", "runs", "failed (95 %)", *times, "rows/s", "MiB", title=pipeline, title_justify="left")
        for item in items:
            failed = f"{item.failures} ({item.error_low:.0%}-{item.error_high:.0%})"
            seconds = [f"{value:.1f} s" for value in item.seconds] or [""] * len(times)
            rows = f"{item.rows_per_second:,.0f}" if item.rows_per_second else ""
            memory = f"{item.memory / 2**20:,.0f}" if item.memory else ""
            table.add_row(item.step, str(item.executions), failed, *seconds, rows, memory)
        Console(highlight=False).print(table)
