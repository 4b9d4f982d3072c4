"""The command line's groups of commands. Each command imports what it needs when it runs."""

from __future__ import annotations

from typing import Annotated

import typer

import turnout
from turnout.cli import airflow, cache, check, compile, monitoring, reproduce, run, runs

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Write a machine-learning pipeline once; run it locally, on Airflow and on KFP.",
)
app.command("run")(run.run)
app.command("compile")(compile.compile)
app.command("check")(check.check)
app.command("runs")(runs.list_runs)
app.command("show")(runs.show)
app.command("airflow")(airflow.airflow)
app.command("reproduce")(reproduce.reproduce)
app.add_typer(cache.commands, name="cache")
app.add_typer(monitoring.commands, name="monitoring")


def _version(asked: bool) -> None:
    if asked:
        print(f"turnout {turnout.__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


@app.command("exec", context_settings={"ignore_unknown_options": True, "help_option_names": []})
def exec_(
    arguments: Annotated[
        list[str],
        typer.Argument(metavar="MODULE:FUNCTION --executor-input JSON", help="The function, and KFP's input for it."),
    ],
) -> None:
    """Run a component's function inside a step. Compiled pipelines contain this command; you need not type it."""
    from turnout.execution.executor import main

    raise typer.Exit(main(arguments))
