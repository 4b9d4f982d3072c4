"""Parameters as a form: what Airflow's page asks for, and what every track checks before a run."""

import datetime
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le

from turnout import component, pipeline


@component
def describe(since: str, kind: str, share: float, names: list, limit: int | None = None) -> str:
    """Say what was asked for.

    Args:
        since: ISO 8601 date.
        kind: of model.
        share: of the rows.
        names: of columns.
        limit: of rows; none when it is not given.
    """
    return f"{kind} since {since} on {share:.0%} of {', '.join(names)}, limit {limit}"


@pipeline(sections={"Data": ["since", "names", "limit"], "Model": ["kind", "share"]})
def form(
    since: datetime.date = datetime.date(2024, 1, 31),
    names: list[str] = ["a", "b"],
    limit: Annotated[int, Ge(1)] | None = None,
    kind: Literal["linear", "trees"] = "trees",
    share: Annotated[float, Gt(0), Le(1)] = 0.5,
) -> str:
    """Ask for everything that a form can ask for.

    Args:
        since: First day.
        names: Columns, one a line.
        limit: Most rows; empty for all.
        kind: Of model.
        share: Of the rows to train on.
    """
    return describe(since=since, kind=kind, share=share, names=names, limit=limit).output
