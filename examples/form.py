"""Parameters as a form: what Airflow's page asks for, and what every track checks before a run."""

import datetime
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le

from turnout import Examples, Labels, NotWith, Title, component, pipeline


@component
def describe(since: str, kind: str, loss: str, share: float, names: list, zone: str, limit: int | None = None) -> str:
    """Say what was asked for.

    Args:
        since: ISO 8601 date.
        kind: of model.
        loss: of the model.
        share: of the rows.
        names: of columns.
        zone: time zone.
        limit: of rows; none when it is not given.
    """
    return f"{kind} with {loss} since {since} {zone} on {share:.0%} of {', '.join(names)}, limit {limit}"


@pipeline(sections={"Data": ["since", "names", "limit"], "Model": ["kind", "loss", "share"], "More": ["zone"]})
def form(
    kind: Annotated[Literal["linear", "trees"], Labels({"trees": "boosted trees"})] = "trees",
    loss: Annotated[Literal["squared", "hinge"], NotWith("kind", {"trees": ("hinge",)})] = "squared",
    share: Annotated[float, Gt(0), Le(1), Title("Share of the rows")] = 0.5,
    since: datetime.date = datetime.date(2024, 1, 31),
    names: list[str] = ["a", "b"],
    limit: Annotated[int, Ge(1), Title("Most rows")] | None = None,
    zone: Annotated[str, Title("Time zone"), Examples("UTC", "Europe/Berlin")] = "UTC",
) -> str:
    """Ask for everything that a form can ask for.

    Args:
        kind: Of model.
        loss: What the model makes small.
        share: What is trained on.
        since: First day.
        names: Columns, one a line.
        limit: Empty for all.
        zone: Of the days.
    """
    return describe(since=since, kind=kind, loss=loss, share=share, names=names, zone=zone, limit=limit).output
