"""`turnout serve report`: a version that is tried out beside the one in service, as a page."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Annotated, Optional

import typer

from turnout.cli.options import Json, errors
from turnout.cli.served import Model, TargetName, Where, served_on
from turnout.errors import ServerError


def report(
    model: Model = "",
    out: Annotated[Path, typer.Option(metavar="FILE", help="The page that is written.")] = Path("release.html"),
    version: Annotated[str, typer.Option(help="The version to compare. Default: the one that is tried out.")] = "",
    days: Annotated[float, typer.Option(min=0.01, help="How many days to look back.")] = 7.0,
    labels: Annotated[
        str, typer.Option(metavar="URI", help="A table to which labels come: CSV or Parquet, a path or a URI.")
    ] = "",
    label: Annotated[str, typer.Option(metavar="COLUMN", help="Its column with the truth.")] = "",
    business: Annotated[
        str, typer.Option(metavar="COLUMN", help="Its column with what a request brought, from 0 to 1.")
    ] = "",
    key: Annotated[
        Optional[list[str]],  # noqa: UP045 - Typer reads this spelling on every Python
        typer.Option(
            metavar="COLUMN",
            help="Its columns that tell requests apart: request_id, or columns that the model takes. May be given "
            "several times. Default: request_id.",
        ),
    ] = None,
    largest_error: Annotated[
        float, typer.Option(min=0, help="Of a number that is predicted: the error that is a loss of 1.")
    ] = 0.0,
    directory: Where = None,
    target: TargetName = "local",
    as_json: Json = False,
) -> None:
    """Compare the version that is tried out with the one in service, and write a page: an A/B test, a canary, a shadow.

    It may be called as often as one likes: the verdict does not become wrong more often by that. It judges what was
    seen since the traffic is split as it is now. When the traffic is not split as it should be, it says nothing else.
    """
    from turnout.reports.report import put
    from turnout.serving.rollout.judgement import Settings
    from turnout.serving.rollout.labels import LabelSource
    from turnout.serving.rollout.looks import look
    from turnout.serving.rollout.report import findings_json, release_report

    with errors(as_json):
        if labels and not (label or business):
            raise ServerError("of the labels no column is named", where=labels, hint="give --label, --business or both")
        name, chosen = served_on(model, directory, target)
        tried = [item.version for item in chosen.status(name).versions[1:]]
        if not (version or tried):
            hint = "give one a part of the traffic first: turnout serve split"
            raise ServerError("no version is tried out", where=name, hint=hint)
        version = version or tried[-1]
        since = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=days)
        truth = LabelSource(labels, label, tuple(key or ("request_id",)), business, largest_error) if labels else None
        settings = Settings()
        seen = look(chosen, name, version, since, settings, truth)
        made = release_report(seen.judgement, seen.windows, settings, name, version, seen.differences)
        put(out, made.to_html())
    if as_json:
        print(findings_json(seen.judgement, name, version))
        return
    print(f"{name} version {version}: {seen.judgement.verdict}", *seen.judgement.reasons, "", str(out), sep="\n")
