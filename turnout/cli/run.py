"""`turnout run`."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from turnout.cli.options import SOURCE, Json, Root, errors
from turnout.cli.runs import parsed_tags


def run(
    source: Annotated[str, typer.Argument(metavar="[SOURCE]", help=SOURCE)] = "",
    parameter: Annotated[
        Optional[list[str]],  # noqa: UP045 - Typer reads this spelling on every Python
        typer.Option("-p", "--parameter", metavar="NAME=VALUE", help="A parameter; lists and structs as JSON."),
    ] = None,
    root: Root = ".turnout",
    run_id: Annotated[str, typer.Option(help="Id of the run. Default: made from the time.")] = "",
    resume: Annotated[
        str, typer.Option(metavar="RUN_ID", help="Continue a run that did not succeed; also PIPELINE/RUN_ID.")
    ] = "",
    parallelism: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(min=1, help="How many steps run at once. Default: one for each core."),
    ] = None,
    cache: Annotated[bool, typer.Option(help="Use results of earlier steps with the same code and inputs.")] = True,
    secrets: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(envvar="TURNOUT_SECRETS", metavar="FILE", help="YAML file with secrets and config maps."),
    ] = None,
    runtime: Annotated[str, typer.Option(help="What steps run with; as processes of this machine if not given.")] = "",
    setting: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(
            "--setting",
            metavar="NAME=VALUE",
            help="A setting of the runtime.",
        ),
    ] = None,
    tag: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("--tag", metavar="NAME[=VALUE]", help="A tag, to find the run by later."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Run a pipeline on this machine. Exit 0 only when the run succeeded."""
    from turnout import verbs
    from turnout.cli.progress import watching
    from turnout.cli.result import show_result
    from turnout.spec.step_contract import State

    # A CI system ends a run with SIGTERM: the steps are cancelled as after an interrupt.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    more: dict[str, Any] = {
        "root": root, "runtime": runtime, "cache": cache, "parallelism": parallelism, "secrets": secrets,
    }  # fmt: skip
    with errors(as_json):
        more["settings"] = dict(_pair(item, "--setting image=python:3.11") for item in setting or [])
        if resume:
            if source or parameter or run_id or tag:
                raise typer.BadParameter("a run that is resumed has its pipeline, parameters and id already (--resume)")
            with watching(verbs.plan_of_run(resume, root), resume) as watch:
                result = verbs.resume(resume, watch=watch, **more)
        else:
            if not source:
                raise typer.BadParameter("no pipeline to run: name a SOURCE, or a run with --resume RUN_ID")
            tags = parsed_tags(tag or [])
            plan = verbs.linked(source)
            values = typed(plan, parameter or [])
            run_id = run_id or verbs.new_run_id()
            with watching(plan, run_id) as watch:
                result = verbs.run(plan, values, run_id=run_id, tags=tags, watch=watch, **more)
    if as_json:
        print(json.dumps(result.to_dict(), indent=2, default=str))
    else:
        show_result(result)
    raise typer.Exit(0 if result.state is State.SUCCEEDED else 1)


def typed(plan: Any, parameters: list[str]) -> dict[str, Any]:
    """The given texts as values of the parameters' types."""
    from turnout.plan.parameters import parse_value

    given = dict(_pair(item, "-p rows=100, or -p 'grid=[1, 2]'") for item in parameters)
    return {
        name: parse_value(text, plan.parameters[name].schema) if name in plan.parameters else text
        for name, text in given.items()
    }


def _pair(text: str, hint: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise typer.BadParameter(f"'{text}' is not NAME=VALUE; write {hint}")
    return name, value
