"""The command line's groups of commands. Each command imports what it needs when it runs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Annotated, Any

import typer

import turnout
from turnout.cli import (
    airflow,
    build,
    cache,
    check,
    compare,
    compile,
    environments,
    import_,
    models,
    monitoring,
    new,
    report,
    reproduce,
    run,
    runs,
    serve,
    submit,
)
from turnout.cli.options import errors
from turnout.project.file import PROFILE, current

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Write a machine-learning pipeline once; run it locally, on Airflow and on KFP.",
)
app.command("init")(new.init)
app.command("new")(new.new)
app.command("import")(import_.import_)
app.command("run")(run.run)
app.command("submit")(submit.submit)
app.command("compile")(compile.compile)
app.command("check")(check.check)
app.command("build")(build.build)
app.command("runs")(runs.list_runs)
app.command("show")(runs.show)
app.command("report")(report.report)
app.command("tag")(runs.tag)
app.command("compare")(compare.compare)
app.command("models")(models.models)
app.command("airflow")(airflow.airflow)
app.command("reproduce")(reproduce.reproduce)
app.add_typer(cache.commands, name="cache")
app.add_typer(environments.commands, name="environments")
app.add_typer(monitoring.commands, name="monitoring")
app.add_typer(serve.commands, name="serve")


def _version(asked: bool) -> None:
    if asked:
        print(f"turnout {turnout.__version__}")
        raise typer.Exit


@app.callback()
def options(
    context: typer.Context,
    profile: Annotated[
        str, typer.Option(envvar=PROFILE, metavar="NAME", help="A profile of the project file, such as prod.")
    ] = "",
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """The project file's values are the defaults of the options by their names."""
    if profile:
        os.environ[PROFILE] = profile
    with errors():
        project = current()
    values = {"root": project.path(project.root), "runtime": project.runtime or None}
    context.default_map = _defaults(context.command, values)
    context.default_map["compile"]["out"] = project.path(project.dags)


def _defaults(command: Any, values: Mapping[str, Any]) -> dict[str, Any]:
    if hasattr(command, "commands"):
        return {name: _defaults(inner, values) for name, inner in command.commands.items()}
    return {option.name: values[option.name] for option in command.params if values.get(option.name)}


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
