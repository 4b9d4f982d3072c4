"""The command line's commands. Each imports what it needs when it runs: `turnout exec` starts every step."""

from __future__ import annotations

import contextlib
import datetime
import json
import secrets as secrets_module
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from turnout.errors import TrackError, TurnoutError

if TYPE_CHECKING:
    from turnout.plan.model import Plan

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Write a machine-learning pipeline once; run it locally, on Airflow and on KFP.",
)

_SOURCE = "module:pipeline, path.py[:name], or a compiled KFP YAML"
Source = Annotated[str, typer.Argument(metavar="SOURCE", help=_SOURCE)]
Root = Annotated[str, typer.Option(envvar="TURNOUT_ROOT", help="URI under which runs are kept.")]
Runtime = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(
        help="What Airflow runs steps with, if known: process, docker or kubernetes; refuses what that cannot."
    ),
]
Check = Annotated[bool, typer.Option("--check", help="Write nothing; exit 1 with a diff if a file is stale.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for a machine.")]


@contextlib.contextmanager
def _errors() -> Iterator[None]:
    """Our errors in their words, without a traceback; status 1."""
    try:
        yield
    except TurnoutError as error:
        typer.secho(f"error: {error}", fg="red", err=True)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        typer.secho("interrupted: the steps that were running have been cancelled", fg="red", err=True)
        raise typer.Exit(130) from None


@app.command()
def run(
    source: Annotated[str, typer.Argument(metavar="[SOURCE]", help=_SOURCE)] = "",
    parameter: Annotated[
        Optional[list[str]],  # noqa: UP045 - Typer reads this spelling on every Python
        typer.Option(
            "-p", "--parameter", metavar="NAME=VALUE", help="A parameter; text, or JSON where JSON is wanted."
        ),
    ] = None,
    root: Root = ".turnout",
    run_id: Annotated[str, typer.Option(help="The run's id; made from the time when not given.")] = "",
    resume: Annotated[
        str, typer.Option(metavar="RUN_ID", help="Go on with a run that was interrupted or failed.")
    ] = "",
    parallelism: Annotated[Optional[int], typer.Option(min=1, help="Steps at once; the number of cores.")] = None,  # noqa: UP045
    cache: Annotated[bool, typer.Option(help="Take results of earlier steps with the same code and inputs.")] = True,
    secrets: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(envvar="TURNOUT_SECRETS", metavar="FILE", help="YAML that stands for a cluster's secrets."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Run a pipeline on this machine. Exit 0 only when the run succeeded."""
    from turnout.cli.progress import show_result, watching
    from turnout.runtime.contract import State
    from turnout.runtime.secrets import Secrets
    from turnout.runtime.store import ArtifactStore
    from turnout.tracks import local

    # Who ends a run in an orderly way, such as a CI system, gets the same as for an interrupt.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with _errors():
        options = local.Options(parallelism, cache, Secrets.read(secrets) if secrets else Secrets())
        store = ArtifactStore(root)
        if resume:
            if source or parameter or run_id:
                raise TurnoutError("a run that is resumed has its pipeline, parameters and id already @ --resume")
            plan, _ = local.read_run(store, resume)
            with watching(plan, resume) as watch:
                result = local.resume(store, resume, options, watch)
        else:
            plan, values = _bound(source, parameter or [])
            run_id = run_id or f"{datetime.datetime.now(datetime.UTC):%Y%m%d-%H%M%S}-{secrets_module.token_hex(2)}"
            with watching(plan, run_id) as watch:
                result = local.run(plan, values, store, run_id, options, watch)
    if as_json:
        print(json.dumps(result.to_dict(), indent=2, default=str))
    else:
        show_result(result)
    raise typer.Exit(0 if result.state is State.SUCCEEDED else 1)


def _bound(source: str, parameters: list[str]) -> tuple[Plan, dict[str, Any]]:
    """The plan of a source, and the values of a run."""
    from turnout.plan.link import link
    from turnout.plan.parameters import bind_parameters, parse_value, with_data_interval
    from turnout.source import load

    if not source:
        raise TurnoutError("no pipeline to run\n  hint: name a SOURCE, or a run with --resume")
    plan = link(load(source))
    given = dict(_pair(item) for item in parameters)
    typed = {
        name: parse_value(text, plan.parameters[name].schema) if name in plan.parameters else text
        for name, text in given.items()
    }
    values = bind_parameters(plan.parameters, typed, plan.name)
    return plan, with_data_interval(values, plan.airflow, datetime.datetime.now(datetime.UTC))


@app.command("compile")
def compile_(
    sources: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Argument(metavar="[SOURCE ...]", help="Pipelines to compile; all of pipelines/ when none is given."),
    ] = None,
    track: Annotated[str, typer.Option(help="airflow (a DAG file beside the YAML) or kfp (the YAML).")] = "airflow",
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the files go.")] = Path("dags"),
    runtime: Runtime = None,
    check: Check = False,
) -> None:
    """Compile pipelines to files that are checked in."""
    from turnout.source import load
    from turnout.tracks.compile import TRACKS, emit
    from turnout.tracks.runtimes import check_runtime

    with _errors():
        if track not in TRACKS:
            raise TurnoutError(f"no track '{track}' to compile to\n  available here: {', '.join(TRACKS)}")
        files: dict[Path, str] = {}
        for source in sources or _all_pipelines():
            document = load(source)
            files |= emit(document, track)
            if runtime and (faults := check_runtime(document, runtime)):
                raise TrackError(faults)
        _write(files, out, check, "run turnout compile")


def _write(files: dict[Path, str], out: Path, check: bool, hint: str) -> None:
    """Write files, or say which are stale."""
    from turnout.tracks.compile import stale, write_files

    if not check:
        for path in write_files(files, out):
            print(path)
        return
    diffs = stale(files, out)
    for diff in diffs:
        print(diff, end="")
    if diffs:
        raise TurnoutError(f"{len(diffs)} of {len(files)} files are stale @ {out}\n  hint: {hint}")


@app.command("check")
def check_(
    source: Source,
    track: Annotated[Optional[str], typer.Option(help="Only this track: local, airflow or kfp.")] = None,  # noqa: UP045
    runtime: Runtime = None,
    as_json: Json = False,
) -> None:
    """Report all faults, and what each track keeps, lowers and refuses. Exit 1 when there is a fault."""
    from turnout.cli.report import checked, show_check
    from turnout.source import load

    with _errors():
        outcome = checked(load(source), track, runtime)
    if as_json:
        print(json.dumps(outcome, indent=2, default=str))
    else:
        show_check(outcome)
    raise typer.Exit(1 if outcome["faults"] else 0)


@app.command("runs")
def runs_(root: Root = ".turnout", as_json: Json = False) -> None:
    """List the runs under a root, the latest last."""
    from turnout.cli.history import list_runs

    with _errors():
        list_runs(root, as_json)


@app.command("show")
def show_(run_id: Annotated[str, typer.Argument(metavar="RUN_ID")], root: Root = ".turnout") -> None:
    """Print a run, and open its report in a browser when this is a terminal."""
    from turnout.cli.history import show_run

    with _errors():
        show_run(root, run_id)


cache_commands = typer.Typer(no_args_is_help=True, help="The results of steps that later runs may take.")
app.add_typer(cache_commands, name="cache")


@cache_commands.command("list")
def cache_list(root: Root = ".turnout", as_json: Json = False) -> None:
    """List the results that are kept."""
    from turnout.cli.history import list_cache

    with _errors():
        list_cache(root, as_json)


@cache_commands.command("prune")
def cache_prune(
    root: Root = ".turnout",
    older_than: Annotated[float, typer.Option(metavar="DAYS", min=0, help="Only results older than this.")] = 0.0,
) -> None:
    """Forget results, so that their steps run again. Runs and their artifacts stay."""
    from turnout.cli.history import prune_cache

    with _errors():
        prune_cache(root, older_than)


monitoring_commands = typer.Typer(no_args_is_help=True, help="What watches pipelines, as code, and how steps do.")
app.add_typer(monitoring_commands, name="monitoring")


@monitoring_commands.command("export")
def monitoring_export(
    sources: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Argument(metavar="[SOURCE ...]", help="Pipelines with monitors; all of pipelines/ when none is given."),
    ] = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the files go.")] = Path("monitoring"),
    check: Check = False,
) -> None:
    """Write alert rules for Prometheus (rules.yml) and a dashboard for Grafana (dashboard.json)."""
    from turnout.cli.monitoring import export

    with _errors():
        _write(export(sources or _all_pipelines()), out, check, "run turnout monitoring export")


@monitoring_commands.command("steps")
def monitoring_steps(
    root: Root = ".turnout",
    days: Annotated[float, typer.Option(min=0, help="Only what ended in so many days.")] = 30.0,
    prometheus: Annotated[str, typer.Option(help="A .prom file, or URL of a Pushgateway, for the figures.")] = "",
    as_json: Json = False,
) -> None:
    """How long steps take, how often they fail, how many rows they get through and what memory they need."""
    from turnout.cli.monitoring import show_steps

    with _errors():
        show_steps(root, days, prometheus, as_json)


@app.command("exec", context_settings={"ignore_unknown_options": True, "help_option_names": []})
def exec_(arguments: Annotated[list[str], typer.Argument(metavar="MODULE:FUNCTION --executor-input JSON")]) -> None:
    """Run a component's function inside a step: the executor."""
    from turnout.runtime.executor import main

    raise typer.Exit(main(arguments))


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise TurnoutError(f"'{text}' is not NAME=VALUE\n  hint: -p rows=100, or -p 'grid=[1, 2]'")
    return name, value


def _all_pipelines() -> list[str]:
    found = sorted(str(path) for path in Path("pipelines").glob("*.py") if path.name != "__init__.py")
    if not found:
        raise TurnoutError("no pipelines/*.py @ the current directory\n  hint: name a SOURCE")
    return found
