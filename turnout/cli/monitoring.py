"""`turnout monitoring`: alert rules and a dashboard for pipelines, and statistics of their steps."""

from __future__ import annotations

import dataclasses
import datetime
import itertools
import json
from pathlib import Path
from typing import Annotated, Optional

import typer
from rich.console import Console
from rich.table import Table

from turnout.cli.compile import write
from turnout.cli.options import Check, Json, Root, Sources, all_pipelines, errors
from turnout.errors import Fault

commands = typer.Typer(no_args_is_help=True, help="Export alert rules and dashboards; show step statistics.")


@commands.command()
def export(
    sources: Sources = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Directory for the files.")] = Path("monitoring"),
    serving: Annotated[
        Optional[list[str]],  # noqa: UP045 - Typer reads this spelling on every Python
        typer.Option(
            metavar="MODEL",
            help="Also write alert rules and a dashboard for a model that turnout serve serves (serving_rules.yml, "
            "serving_dashboard.json); may be given several times.",
        ),
    ] = None,
    availability: Annotated[float, typer.Option(help="Of those: percent of requests that must not fail.")] = 99.9,
    latency_ms: Annotated[float, typer.Option(help="Of those: what 99 % of answers must be faster than.")] = 250,
    check: Check = False,
) -> None:
    """Write alert rules for Prometheus (rules.yml) and a dashboard for Grafana (dashboard.json)."""
    from turnout import verbs
    from turnout.cli.monitors import monitors_of
    from turnout.monitoring.alerts.dashboard import dashboard
    from turnout.monitoring.alerts.rules import alert_rules
    from turnout.monitoring.alerts.serving import serving_rules
    from turnout.monitoring.alerts.serving_dashboard import serving_dashboard

    with errors():
        pipelines = monitors_of([verbs.linked(source) for source in sources or all_pipelines()])
        files = {Path("rules.yml"): alert_rules(pipelines), Path("dashboard.json"): dashboard(pipelines)}
        if serving:
            files[Path("serving_rules.yml")] = serving_rules(serving, availability, latency_ms)
            files[Path("serving_dashboard.json")] = serving_dashboard(serving, availability, latency_ms)
        write(files, out, check, "run turnout monitoring export")


@commands.command()
def steps(
    root: Root = ".turnout",
    days: Annotated[float, typer.Option(min=0, help="How many days to look back.")] = 30.0,
    prometheus: Annotated[str, typer.Option(help="Also write them to this .prom file or Pushgateway URL.")] = "",
    as_json: Json = False,
) -> None:
    """Show how long steps take, how often they fail, how many rows they process, and how much memory they need."""
    from turnout.execution.store import ArtifactStore
    from turnout.monitoring.step_statistics import QUANTILES, step_metrics, summarise

    with errors(as_json):
        since = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=days)
        found = summarise(ArtifactStore(root).all_outcomes(), since)
        if prometheus:
            step_metrics(found).publish(prometheus)
    if as_json:
        print(json.dumps([dataclasses.asdict(item) for item in found], indent=2))
        return
    if not found:
        print(Fault(f"no step has run in {days:g} days", root))
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
