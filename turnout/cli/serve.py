"""`turnout serve`: a registered model answers requests; its traffic is split, moved and rolled back by hand."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer
from rich.console import Console
from rich.table import Table
from typer.core import TyperGroup

from turnout.cli.options import Json, errors
from turnout.cli.serve_report import report
from turnout.cli.served import Model, TargetName, Where, served_on
from turnout.errors import ServerError

if TYPE_CHECKING:
    from turnout.serving.targets.target import Status, Target

_START = "start"


class _Serve(TyperGroup):
    """A group whose first word may be a model: `turnout serve MODEL` is `turnout serve start MODEL`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        known = args and (args[0] in self.commands or args[0] == "--help")
        return super().parse_args(ctx, args if known else [_START, *args])


commands = typer.Typer(
    cls=_Serve,
    help="Serve a registered model: turnout serve MODEL@champion. Split its traffic, promote a version, roll back.",
)

ModelOption = Annotated[str, typer.Option(help="The registered model. Default: the only one that is served here.")]
Parts = Annotated[list[str], typer.Argument(metavar="VERSION=PERCENT ...", help="All versions; 100 together.")]
Why = Annotated[str, typer.Option(help="The reason, for the history.")]
Who = Annotated[str, typer.Option(help="Who does it, for the history. Default: you, at this machine.")]


@commands.command(_START)
def start(
    model: Annotated[
        str, typer.Argument(metavar="MODEL[@ALIAS|/VERSION]", help="The registered model. Default alias: champion.")
    ] = "",
    workers: Annotated[int, typer.Option(min=1, help="Processes of each version.")] = 2,
    port: Annotated[int, typer.Option(min=1, max=65535, help="TCP port to answer on.")] = 8000,
    address: Annotated[
        str, typer.Option(help="IP address to answer on; others than loopback need tokens.")
    ] = "127.0.0.1",
    directory: Where = None,
    fallback: Annotated[
        str,
        typer.Option(
            metavar="VERSION|JSON",
            help="What answers when the version fails or is too slow: an older version, or a constant such as "
            '{"prediction": 0}.',
        ),
    ] = "",
    time_out: Annotated[float, typer.Option(min=0.01, help="Seconds that the model may take for a request.")] = 1.0,
    cache_rows: Annotated[int, typer.Option(min=0, help="Rows whose predictions are kept in each worker.")] = 0,
    log_sample: Annotated[
        float, typer.Option(min=0, max=1, help="The part of requests and predictions that is kept as Parquet.")
    ] = 1.0,
    mask: Annotated[
        Optional[list[str]],  # noqa: UP045 - Typer reads this spelling on every Python
        typer.Option(metavar="COLUMN", help="A column that is not kept with the requests; may be given several times."),
    ] = None,
    log_days: Annotated[
        int,
        typer.Option(
            min=0,
            help="Days for which requests, predictions and the access log are kept, longer than labels take to come; "
            "0 for all.",
        ),
    ] = 0,
    features: Annotated[
        str,
        typer.Option(
            metavar="SERVICE", help="A Feast service: requests give its entities' keys, and features are looked up."
        ),
    ] = "",
    feature_repository: Annotated[Path, typer.Option(metavar="DIR", help="The Feast repository of --features.")] = Path(
        "feature_repo"
    ),
    standby: Annotated[
        float, typer.Option(min=0, help="Seconds for which the version before stays loaded, for a rollback.")
    ] = 600.0,
    grpc_port: Annotated[
        int,
        typer.Option(
            min=0,
            max=65535,
            help="Another TCP port, for platforms that tell gRPC by the port; --port takes it too. 0 for none.",
        ),
    ] = 0,
    metrics_port: Annotated[int, typer.Option(min=0, max=65535, help="TCP port for Prometheus; 0 for none.")] = 0,
    certificate: Annotated[str, typer.Option(metavar="FILE", help="A PEM file, for TLS.")] = "",
    key: Annotated[str, typer.Option(metavar="FILE", help="The certificate's key, a PEM file.")] = "",
    tokens: Annotated[
        Optional[Path],  # noqa: UP045 - Typer reads this spelling on every Python
        typer.Option(metavar="FILE", help="A file of tokens, one a line; each request must have one of them."),
    ] = None,
    everybody: Annotated[
        bool, typer.Option("--open", help="Answer without tokens on any address: the network decides who may ask.")
    ] = False,
) -> None:
    """Serve a model until Ctrl-C. `turnout serve MODEL` is the same.

    With an alias, the version that the alias moves to is loaded, and takes over with no failed request.
    """
    from turnout.serving.machine import Serving
    from turnout.serving.start import listening, prepare, ready_text
    from turnout.serving.supervisor import Supervisor

    with errors():
        place = directory or _directory(_named(model))
        where = listening(port, address, time_out, certificate, key, tokens, everybody, grpc_port)
        release = prepare(place, _named(model), fallback)
        chosen: dict[str, Any] = {"time_out_s": time_out, "cache_rows": cache_rows, "log_sample": log_sample}
        if features:
            chosen |= {"feature_service": features, "feature_repository": str(feature_repository.absolute())}
        worker = (*chosen.items(), ("masked_columns", tuple(mask or ())))
        serving = Serving(
            place, where, workers, standby_s=standby, log_days=log_days, metrics_port=metrics_port, worker=worker
        )
        supervisor = Supervisor(serving, _say, lambda: print(ready_text(place, where, release), flush=True))
        supervisor.run()


@commands.command()
def status(model: Model = "", directory: Where = None, target: TargetName = "local", as_json: Json = False) -> None:
    """Show what is served, with which part of the traffic, and how it is."""
    with errors(as_json):
        name, chosen = served_on(model, directory, target)
        found = _with_rest(chosen, chosen.status(name))
    if as_json:
        print(_plain(found))
    else:
        _show(found)
    if not found.ready:
        raise typer.Exit(1)


@commands.command()
def split(
    parts: Parts,
    model: ModelOption = "",
    sticky: Annotated[
        Optional[str],  # noqa: UP045 - Typer reads this spelling on every Python
        typer.Option(metavar="HEADER", help="Choose the version by the hash of a header: a user keeps it. '': chance."),
    ] = None,
    shadow: Annotated[
        bool, typer.Option("--shadow", help="The one version gets copies of so many requests; nobody sees its answers.")
    ] = False,
    why: Why = "",
    who: Who = "",
    directory: Where = None,
    target: TargetName = "local",
    as_json: Json = False,
) -> None:
    """Give versions parts of the traffic: turnout serve split 7=90 8=10."""
    with errors(as_json):
        name, chosen = served_on(model, directory, target)
        percents = _percents(parts)
        if sticky is not None:
            chosen.keep_users(name, sticky, who=who, why=why)
        if shadow:
            for version, percent in percents.items():
                chosen.deploy(name, version, percent, True, who=who, why=why)
        else:
            chosen.split(name, percents, who=who, why=why)
        _done(chosen.status(name), as_json)


@commands.command()
def promote(
    version: Annotated[str, typer.Argument(metavar="VERSION", help="The version that shall answer all requests.")],
    model: ModelOption = "",
    why: Why = "",
    who: Who = "",
    directory: Where = None,
    target: TargetName = "local",
    as_json: Json = False,
) -> None:
    """Give all of the traffic to a version. The alias that the server follows moves to it."""
    with errors(as_json):
        name, chosen = served_on(model, directory, target)
        chosen.deploy(name, version, who=who, why=why)
        _done(chosen.status(name), as_json)


@commands.command()
def rollback(
    model: Model = "",
    why: Why = "",
    who: Who = "",
    directory: Where = None,
    target: TargetName = "local",
    as_json: Json = False,
) -> None:
    """Put the version before back into service, for all requests."""
    from turnout.serving.rollout.steps import go_back

    with errors(as_json):
        name, chosen = served_on(model, directory, target)
        go_back(chosen, name, who=who, why=why)
        _done(chosen.status(name), as_json)


@commands.command()
def bench(
    model: Model = "",
    directory: Where = None,
    seconds: Annotated[float, typer.Option(min=1, help="How long each load lasts.")] = 5.0,
    connections: Annotated[
        Optional[list[int]],  # noqa: UP045 - Typer reads this spelling on every Python
        typer.Option(min=1, help="Clients of a closed loop; may be given several times. Default: 1, 4, 16 and 64."),
    ] = None,
    rate: Annotated[
        Optional[list[float]],  # noqa: UP045 - Typer reads this spelling on every Python
        typer.Option(
            min=1,
            help="Requests a second of an open loop; may be given several times. Default: parts of the "
            "most that a closed loop reaches.",
        ),
    ] = None,
    header: Annotated[
        Optional[list[str]],  # noqa: UP045 - Typer reads this spelling on every Python
        typer.Option(metavar="NAME:VALUE", help="A header of each request, such as authorization."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Measure how fast a server that runs answers, by number of clients and by rate, and where the knee is."""
    from turnout.serving import bench as load
    from turnout.serving.start import to_ask

    with errors(as_json):
        load.program()
        url, body = to_ask(directory or _directory(model or _served(directory)))
        found = [load.closed(url, body, count, seconds, header or ()) for count in connections or (1, 4, 16, 64)]
        most = max(item.rate for item in found)
        for asked in rate or [part * most for part in load.PARTS]:
            found.append(load.opened(url, body, asked, seconds, header or ()))
    knee = load.knee(found)
    if as_json:
        print(json.dumps({"loads": [dataclasses.asdict(item) for item in found],
                          "knee": dataclasses.asdict(knee) if knee else None}, indent=2))  # fmt: skip
        return
    quantiles = [f"p{100 * quantile:g} ms" for quantile in load.QUANTILES]
    table = Table("loop", "clients", "asked/s", "got/s", "errors", *quantiles, title=url, title_justify="left")
    for item in found:
        table.add_row(item.loop, str(item.connections), f"{item.asked:,.0f}" if item.asked else "", f"{item.rate:,.0f}",
                      str(item.errors), *(f"{value:.2f}" for value in item.latencies_ms))  # fmt: skip
    console = Console(highlight=False)
    console.print(table)
    said = f"{knee.asked:,.0f} requests a second" if knee else "below the lowest rate that was tried"
    console.print(f"the knee: {said}; above it answers take much longer, or fail", soft_wrap=True)


commands.command()(report)


def _served(directory: Path | None) -> str:
    from turnout.serving.start import served_here

    return served_here(directory)


@commands.command()
def manifests(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="The registered model's name.")],
    parts: Parts,
    target: Annotated[str, typer.Option(metavar="TARGET", help="kubernetes:FILE or kserve:FILE.")],
    fallback: Annotated[str, typer.Option(metavar="VERSION|JSON", help="As turnout serve takes it.")] = "",
) -> None:
    """Print what a cluster would be told, as YAML, for a repository from which something else applies it."""
    import yaml

    from turnout.serving.release import Release, Served
    from turnout.serving.targets.chosen import target_of

    with errors():
        versions = tuple(Served(version, percent) for version, percent in _percents(parts).items())
        made = target_of(target).manifests(Release(model, versions, fallback=fallback))
    print(yaml.safe_dump_all(made, sort_keys=False), end="")


def _say(line: str) -> None:
    typer.echo(line, err=True)


def _named(model: str) -> str:
    """What is to be served. Raises ServerError when nothing is named."""
    if model:
        return model
    from turnout.serving.start import registered

    hint = "name one: turnout serve MODEL@champion. To train the example's: make demo"
    raise ServerError("no model is named", available=registered(), hint=hint)


def _directory(model: str) -> Path:
    from turnout.serving.start import name_of
    from turnout.serving.state import ROOT

    return ROOT / name_of(model)


def _percents(parts: list[str]) -> dict[str, float]:
    found: dict[str, float] = {}
    for part in parts:
        version, _, percent = part.partition("=")
        try:
            found[version] = float(percent)
        except ValueError:
            hint = "such as: turnout serve split 7=90 8=10"
            raise ServerError("not VERSION=PERCENT", where=part, hint=hint) from None
    return found


def _with_rest(target: Target, found: Status) -> Status:
    """A status that tells of a rollback that was killed."""
    from turnout.errors import ComponentError
    from turnout.serving.rollout.steps import unfinished

    with contextlib.suppress(ComponentError):  # the registry cannot say
        if left := unfinished(target, found.model, found):
            rest = f"a rollback from version {left} was cut off: it is champion still; go on: turnout serve rollback"
            return dataclasses.replace(found, ready=False, problems=(*found.problems, rest))
    return found


def _done(found: Status, as_json: bool) -> None:
    print(_plain(found)) if as_json else _show(found)


def _plain(found: Status) -> str:
    from turnout.serving.answering import forms

    told = {version: dataclasses.asdict(said) for version, said in forms(found).items()}
    return json.dumps({**dataclasses.asdict(found), "forms": told}, indent=2)


def _show(found: Status) -> None:
    from turnout.serving.answering import forms, workers_of

    release, answering = found.details.get("release", {}), forms(found)
    console = Console(highlight=False)
    table = Table("version", "traffic", "form", "workers", "restarts", title=found.model, title_justify="left")
    for served in found.versions:
        workers = workers_of(found, served.version)
        ready = sum(bool(item["ready"]) for item in workers)
        traffic = f"{served.percent:g} %" + (" copied" if served.shadow else "")
        restarts = sum(int(item["restarts"]) for item in workers)
        form = answering[served.version].form if served.version in answering else "-"
        table.add_row(served.version, traffic, form, f"{ready} of {len(workers)}" if workers else "-", str(restarts))
    console.print(table)
    for version, said in answering.items():
        console.print(f"version {version}: {said.sentence}", soft_wrap=True, markup=False)
    if release:
        reason = f": {release['reason']}" if release["reason"] else ""
        console.print(f"changed {release['changed_at'][:19]} UTC by {release['changed_by']}{reason}", soft_wrap=True)
    if release.get("sticky"):
        console.print(f"a user keeps the version, by the header {release['sticky']}")
    if found.previous:
        console.print(f"a rollback goes back to version {found.previous}")
    for problem in found.problems:
        console.print(f"problem: {problem}", style="red", soft_wrap=True, markup=False)
