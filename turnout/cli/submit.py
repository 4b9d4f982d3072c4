"""`turnout submit`: a pipeline on a server that runs pipelines, or as one would run it there, on this machine."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Optional

import typer

from turnout.cli.options import SOURCE, Json, errors
from turnout.cli.run import typed
from turnout.errors import Fault, TrackError


def submit(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help=SOURCE)],
    host: Annotated[
        str,
        typer.Option(envvar="TURNOUT_HOST", help="URL of the server; of Vertex AI .../v1/projects/P/locations/REGION."),
    ] = "",
    track: Annotated[
        str, typer.Option(help="What the server is: kfp, or an airflow that has the DAG; local for this machine.")
    ] = "kfp",
    parameter: Annotated[
        Optional[list[str]],  # noqa: UP045 - Typer reads this spelling on every Python
        typer.Option("-p", "--parameter", metavar="NAME=VALUE", help="A parameter; lists and structs as JSON."),
    ] = None,
    run_id: Annotated[
        str, typer.Option(help="Name of the run. One that the server has is watched, and not started again.")
    ] = "",
    schedule: Annotated[
        bool, typer.Option("--schedule", help="No run now: the server runs it by the pipeline's schedule.")
    ] = False,
    wait: Annotated[bool, typer.Option(help="Watch the run to its end.")] = True,
    experiment: Annotated[str, typer.Option(help="Experiment that runs are kept in, on KFP.")] = "",
    pipeline_root: Annotated[
        str,
        typer.Option(metavar="URI", help="Where KFP or Vertex AI keeps artifacts. Default: the pipeline's own."),
    ] = "",
    namespace: Annotated[str, typer.Option(help="Namespace of a KFP server for several users.")] = "",
    token: Annotated[
        str, typer.Option(envvar="TURNOUT_TOKEN", help="What the server knows you by. Better as the variable.")
    ] = "",
    poll: Annotated[float, typer.Option(min=0.1, help="Seconds between two looks at the run.")] = 5.0,
    as_json: Json = False,
) -> None:
    """Run a pipeline where a track runs it, and watch it.

    Exit 0 when the run succeeded; with --no-wait, when it was taken.
    """
    from turnout import verbs
    from turnout.cli.progress import watching
    from turnout.cli.result import show_result
    from turnout.plan.parameters import bind_parameters
    from turnout.spec.step_contract import State
    from turnout.tracks import registry

    with errors(as_json):
        plan = verbs.linked(source, pin=True)
        chosen = registry.track(track)
        if not (chosen.submit or chosen.run):
            known = tuple(name for name in registry.names() if registry.track(name).submit or registry.track(name).run)
            raise TrackError([Fault(f"nothing runs on the track '{track}'", "--track", known)])
        if chosen.submit and not host:
            raise TrackError([Fault("no server", "--host", hint="--host https://..., or the variable TURNOUT_HOST")])
        if not (chosen.submit or wait):
            raise TrackError([Fault(f"a run on the track '{track}' ends with this command", "--no-wait")])
        given = typed(plan, parameter or [])
        bind_parameters(plan.parameters, given, plan.name)
        server = registry.Server(host, token, namespace, experiment, pipeline_root, wait, poll)
        if schedule:
            if chosen.schedule is None:
                hint = "its schedule is in the compiled file"
                raise TrackError([Fault(f"nothing is scheduled on the track '{track}'", "--schedule", hint=hint)])
            said = chosen.schedule(plan, given, server)
            print(json.dumps({"pipeline": plan.name, "schedule": said}) if as_json else said)
            return
        run_id = run_id or verbs.new_run_id()
        try:
            with watching(plan, run_id) as watch:
                if chosen.submit:
                    result = chosen.submit(plan, given, server, run_id, watch)
                else:
                    result = verbs.run(plan, given, track=track, run_id=run_id, watch=watch)
        except KeyboardInterrupt:
            if not chosen.submit:
                raise
            print(f"no longer watched: {run_id} goes on; submit it again with --run-id {run_id}", file=sys.stderr)
            raise typer.Exit(130) from None
    print(json.dumps(result.to_dict(), indent=2, default=str)) if as_json else show_result(result)
    raise typer.Exit(0 if result.state is State.SUCCEEDED or not (wait or result.state.finished) else 1)
