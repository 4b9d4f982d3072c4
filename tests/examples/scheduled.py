"""Pipelines that say things to Airflow alone."""

import datetime

from turnout import Asset, Deadline, Notifier, StepFacts, component, on_airflow, pipeline

TABLE = Asset("table", uri="s3://bucket/table")


@component
def tell(text: str) -> str:
    """Give a text back.

    Args:
        text: any text.
    """
    print(text)
    return text


@pipeline(
    schedule="0 3 * * *",
    timezone="Europe/Berlin",
    start_date=datetime.date(2024, 1, 1),
    end_date=datetime.datetime(2030, 1, 1, 12),
    catchup=False,
    max_active_runs=2,
    max_active_steps=4,
    data_interval=("since", "until"),
    timeout=datetime.timedelta(hours=2),
    deadline=Deadline(datetime.timedelta(hours=1), Notifier("notifiers.Write", {"path": "late.txt"})),
    on_failure=[Notifier("notifiers.Write", {"path": "{{ dag.dag_id }}.txt"})],
    tags=["nightly"],
    steps=StepFacts(owner="data-team", queue="default"),
)
def daily(since: datetime.datetime | None = None, until: datetime.datetime | None = None, fail: str = ""):
    """Read a day.

    Args:
        since: start of the day.
        until: its end.
        fail: whatever.
    """
    first = tell(text=f"{since} {until}")
    on_airflow(first, pool="default_pool", pool_slots=2, priority=7, publishes={"Output": TABLE})
    second = tell(text=first.output)
    on_airflow(second, owner="someone", max_active=1)


@pipeline(triggered_by=TABLE | (Asset("a") & Asset("b")))
def consumer():
    """Start when the table is there."""
    tell(text="read")


@pipeline(schedule="@weekly", triggered_by=TABLE)
def both():
    """Start each week, or when the table is there."""
    tell(text="read")


@pipeline(schedule=datetime.timedelta(hours=6), start_date=datetime.date(2024, 1, 1))
def six_hours():
    """Start every six hours."""
    tell(text="read")
