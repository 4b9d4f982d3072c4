"""`turnout runs`, `turnout show` and `turnout tag`: the records of earlier runs."""

from __future__ import annotations

import datetime
import json
import re
import sys
import webbrowser
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from turnout.cli.options import Json, Root, errors
from turnout.errors import Fault, StoreError, did_you_mean

if TYPE_CHECKING:
    from turnout.plan.run_summary import RunSummary

_SHOWN = 20
"""Runs that are listed when nothing is said of how many."""

_BACK = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def list_runs(
    root: Root = ".turnout",
    pipeline: Annotated[str, typer.Option(metavar="NAME", help="Only runs of this pipeline.")] = "",
    state: Annotated[str, typer.Option(help="Only runs in this state, such as failed.")] = "",
    tag: Annotated[
        Optional[list[str]],  # noqa: UP045 - Typer reads this spelling on every Python
        typer.Option("--tag", metavar="NAME[=VALUE]", help="Only runs with this tag; several: with all of them."),
    ] = None,
    since: Annotated[
        str, typer.Option(metavar="TIME", help="Only runs started since: 2026-11-20, or 7d, 12h, 30m before now.")
    ] = "",
    track: Annotated[str, typer.Option(help="Only runs of this track: local or airflow.")] = "",
    sort: Annotated[str, typer.Option(metavar="METRIC", help="The best by this metric first.")] = "",
    limit: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(min=0, help=f"How many runs, the latest or the best; 0: all. Default: {_SHOWN}; as JSON all."),
    ] = None,
    html: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(metavar="FILE", help="Write them as a page, with curves of metrics and drift."),
    ] = None,
    as_json: Json = False,
) -> None:
    """List the runs of this machine and of Airflow under a root, the latest last: states, verdicts, metrics, tags."""
    from turnout.execution.run_summaries import run_summaries
    from turnout.execution.store import ArtifactStore

    with errors(as_json):
        store = ArtifactStore(root)
        every = run_summaries(store)
        found = _filtered(every, pipeline, state, tag or [], since, track, root)
        found = sorted_by(found, sort, root) if sort else found
    count = limit if limit is not None else 0 if as_json or html else _SHOWN
    left_out = len(found) - count if count else 0
    shown = (found[:count] if sort else found[-count:]) if count else found
    if html:
        from turnout.cli.compare import run_page, write_page
        from turnout.reports.runs import runs_page

        names = sorted({run.pipeline for run in shown})
        name = names[0] if len(names) == 1 else ""
        ordered = sorted(shown, key=lambda run: run.started)
        write_page(html, runs_page(name, ordered, run_link=run_page(store), metric=sort, several=len(names) > 1))
    if as_json:
        print(json.dumps([run.to_dict() for run in shown], indent=2, default=str))
    elif not shown and not html:
        print(Fault("no runs" if not every else "no such runs", root))
    elif not html:
        _print(shown, sort)
        if left_out > 0:
            print(f"{len(shown)} of {len(found)} runs; --limit 0 lists all")


def show(
    run_id: Annotated[str, typer.Argument(metavar="RUN_ID", help="Id of the run, or PIPELINE/RUN_ID.")],
    step: Annotated[str, typer.Argument(metavar="[STEP]", help="A step, such as train, or train[0] in a loop.")] = "",
    root: Root = ".turnout",
) -> None:
    """Print a run, or a step of it. On a terminal, also open its page in a browser."""
    from turnout import verbs
    from turnout.cli.result import show_result
    from turnout.execution.runs import read_run
    from turnout.execution.store import ArtifactStore
    from turnout.plan.results import RunResult
    from turnout.spec.step_contract import State

    with errors():
        store = ArtifactStore(root)
        place, steps, problem = verbs.write_report(run_id, step, root=root)
        record = read_run(store, run_id)[1]
        result = RunResult.from_dict(record)
    result.steps, result.path = steps, "" if step else place.rpartition("/")[0]
    if step:
        result.state, result.outputs, result.errors = steps[0].state, {}, []
    show_result(result)
    if problem:
        typer.secho(f"warning: the page cannot be written: {problem}", fg="yellow", err=True)
    elif step:
        print(f"page: {place}")
    track = record.get("track", "local")
    if result.state is State.RUNNING and track != "local":
        print(f"still running, as {track} has last told")
    elif result.state is State.RUNNING:
        print(f"still running, or interrupted. To continue it: turnout run --resume {run_id}")
    if place and store.is_local and sys.stdout.isatty():
        webbrowser.open(f"file://{place}")


def tag(
    run_id: Annotated[str, typer.Argument(metavar="RUN_ID", help="Id of the run, or PIPELINE/RUN_ID.")],
    tags: Annotated[list[str], typer.Argument(metavar="TAG...", help="NAME, or NAME=VALUE.")],
    remove: Annotated[bool, typer.Option("--remove", help="Take these tags away.")] = False,
    root: Root = ".turnout",
) -> None:
    """Give tags to a run, on this machine or of Airflow, or take them away."""
    from turnout.execution.run_summaries import find_run, run_summaries, write_tags
    from turnout.execution.store import ArtifactStore
    from turnout.plan.run_summary import tag_texts
    from turnout.spec.step_contract import Run

    given = parsed_tags(tags)
    with errors():
        store = ArtifactStore(root)
        run = find_run(run_summaries(store), run_id, root)
        if remove and (missing := [name for name in given if name not in run.tags]):
            hint = did_you_mean(missing[0], run.tags)
            raise StoreError(f"no tag '{missing[0]}'", where=run.name, available=run.tags, hint=hint)
        kept = {name: value for name, value in run.tags.items() if name not in given}
        after = kept if remove else {**run.tags, **given}
        write_tags(store, Run(run.pipeline, run.run_id, ""), after)
    print(f"{run.name}: {', '.join(tag_texts(after)) or 'no tags'}")


def parsed_tags(texts: Sequence[str]) -> dict[str, str]:
    """Tags as they are typed: NAME or NAME=VALUE."""
    found = {}
    for text in texts:
        name, _, value = text.partition("=")
        if not name.strip() or "," in text:
            raise typer.BadParameter(f"'{text}' is no tag; write --tag NAME or --tag NAME=VALUE, without commas")
        found[name.strip()] = value.strip()
    return found


def _filtered(
    runs: Sequence[RunSummary], pipeline: str, state: str, tags: Sequence[str], since: str, track: str, root: str
) -> list[RunSummary]:
    from turnout.spec.step_contract import State

    pipelines = dict.fromkeys(run.pipeline for run in runs)
    if pipeline and pipeline not in pipelines:
        hint = did_you_mean(pipeline, pipelines)
        raise StoreError(f"no runs of a pipeline '{pipeline}'", where=root, available=pipelines, hint=hint)
    states = {item.label.lower(): item for item in State}
    if state and state.lower() not in states:
        raise typer.BadParameter(f"no state '{state}'; there are {', '.join(states)}")
    wanted = parsed_tags(tags)
    start = start_of(since) if since else None
    return [
        run
        for run in runs
        if (not pipeline or run.pipeline == pipeline)
        and (not state or run.state is states[state.lower()])
        and all(name in run.tags and value in ("", run.tags[name]) for name, value in wanted.items())
        and (start is None or (run.started and datetime.datetime.fromisoformat(run.started) >= start))
        and (not track or run.track == track)
    ]


def start_of(text: str) -> datetime.datetime:
    """The time that a text means: a date or time, without a zone in UTC, or so long before now, such as 7d."""
    if back := re.fullmatch(r"(\d+)([mhdw])", text):
        return datetime.datetime.now(datetime.UTC) - datetime.timedelta(**{_BACK[back[2]]: int(back[1])})
    try:
        found = datetime.datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"'{text}' is no time; write --since 2026-11-20, or --since 7d") from None
    return found if found.tzinfo else found.replace(tzinfo=datetime.UTC)


def sorted_by(runs: Sequence[RunSummary], metric: str, root: str) -> list[RunSummary]:
    """The runs that have a metric, the best first.

    Raises:
        StoreError: none has it.
    """
    from turnout.plan.metric_directions import higher_is_better

    values = [(found.value, run) for run in runs if (found := run.metric(metric)) and found.value == found.value]
    if not values:
        known = list(dict.fromkeys(item.name for run in runs for item in run.metrics))
        hint = did_you_mean(metric, known)
        raise StoreError(f"no run has a metric '{metric}'", where=root, available=known[:12], hint=hint)
    lower = higher_is_better(metric) is False
    return [run for _, run in sorted(values, key=lambda pair: pair[0] if lower else -pair[0])]


def _print(runs: Sequence[RunSummary], sort: str) -> None:
    """A table for each pipeline, since its runs have metrics of their own."""
    console = Console(highlight=False)
    for pipeline in dict.fromkeys(run.pipeline for run in (runs if sort else reversed(runs))):
        console.print(_table(pipeline, [run for run in runs if run.pipeline == pipeline], sort, console.width))


def _table(pipeline: str, runs: Sequence[RunSummary], sort: str, width: int) -> Table:
    from turnout.cli.progress import STYLES
    from turnout.plan.run_table import best_run, metric_columns, time_text
    from turnout.reports.numbers import short

    long = max(len(run.run_id) for run in runs) > width // 3  # such as Airflow's ids
    metrics = metric_columns(runs, sort)[: 1 if width < 100 or long else 2 if width < 130 else 3]
    best = best_run(runs, metrics[0]) if metrics and len(runs) > 1 else None
    caption = f"* the best by {metrics[0]}" if best else None
    table = Table(title=pipeline, title_justify="left", title_style="bold", caption=caption, caption_justify="left",
                  box=None, padding=(0, 2, 0, 0))  # fmt: skip
    table.add_column("run", overflow="fold", no_wrap=not long, max_width=width // 3)
    table.add_column("state", no_wrap=True)
    for name in metrics:
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("verdict", overflow="fold", min_width=12)
    table.add_column("started", no_wrap=True)
    tagged = any(run.tags for run in runs)
    if tagged:
        table.add_column("tags", overflow="fold")
    for run in runs:
        state = Text(run.state.label.lower(), STYLES.get(run.state, "dim")) if run.state else Text("not known", "dim")
        numbers = []
        for place, name in enumerate(metrics):
            found = run.metric(name)
            chosen = best is run and place == 0
            text = f"{short(found.value)}{'*' if chosen else ' ' if place == 0 else ''}" if found else ""
            numbers.append(Text(text, "bold green" if chosen else ""))
        table.add_row(
            run.run_id, state, *numbers, _verdict(run), time_text(run.started)[5:], *([_tags(run)] if tagged else [])
        )
    return table


def _verdict(run: RunSummary) -> Text:
    if run.verdict is None:
        return Text(next((f"{step}: {error}" for step, error in run.errors.items()), "")[:120], "red")
    return Text(run.verdict.text, {True: "green", False: "yellow"}.get(run.verdict.good is True, ""))


def _tags(run: RunSummary) -> str:
    return ", ".join(run.tag_texts)
