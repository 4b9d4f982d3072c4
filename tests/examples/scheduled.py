"""Pipelines that say things to Airflow alone."""

import datetime
import os
import time
from pathlib import Path

from turnout import Asset, Deadline, Notifier, StepFacts, Timetable, component, on_airflow, pipeline

TABLE = Asset("table", uri="s3://bucket/table")


@component
def tell(text: str) -> str:
    """Give a text back.

    Args:
        text: any text.
    """
    print(text)
    return text


@component
def slow(directory: str, seconds: float) -> str:
    """Note the process and take a while, but only at the first attempt.

    Args:
        directory: where to leave the note.
        seconds: how long.
    """
    note = Path(directory) / "pid.txt"
    if note.exists():
        return "second"
    note.write_text(str(os.getpid()))
    time.sleep(seconds)
    return "first"


@pipeline(
    schedule="0 3 * * *",
    timezone="Europe/Berlin",
    start_date=datetime.date(2024, 3, 30),
    end_date=datetime.datetime(2024, 3, 30, 12),
    catchup=True,
    max_active_runs=2,
    max_active_steps=4,
    data_interval=("since", "until"),
    timeout=datetime.timedelta(hours=2),
    deadline=Deadline(datetime.timedelta(hours=1), Notifier("notifiers.Write", {"path": "late.txt"})),
    on_failure=[Notifier("notifiers.Write", {"path": "{{ dag.dag_id }}.txt"})],
    tags=["nightly"],
    steps=StepFacts(owner="data-team", queue="default"),
)
def nightly(since: datetime.datetime | None = None, until: datetime.datetime | None = None):
    """Read a day.

    Args:
        since: start of the day.
        until: its end.
    """
    first = tell(text=f"{since} {until}")
    on_airflow(first, pool="default_pool", pool_slots=2, priority=7, reads=[Asset("days")], publishes={"Output": TABLE})
    second = tell(text=first.output)
    on_airflow(second, owner="someone", max_active=1)


@pipeline(on_failure=[Notifier("notifiers.Write", {"path": "failed.txt"})])
def killed(directory: str, retries: int = 1):
    """Run a step that can be killed.

    Args:
        directory: where the step notes its process.
        retries: for show.
    """
    slow(directory=directory, seconds=60.0).set_retry(num_retries=1, backoff_duration="1s")


@pipeline
def two(name: str):
    """Run twice at once.

    Args:
        name: of the run.
    """
    tell(text=tell(text=name).output)


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


@pipeline(
    schedule=Timetable(
        "airflow.sdk.MultipleCronTriggerTimetable", {"timezone": "Europe/Berlin"}, ("0 7 * * 1-5", "0 10 * * 6")
    )
)
def workdays(text: str = "a"):
    """Tell at seven on workdays, and at ten on Saturdays.

    Args:
        text: any text.
    """
    tell(text=text)


@pipeline(deadline=Deadline(datetime.timedelta(seconds=2), Notifier("notifiers.Write", {"path": "late.txt"})))
def late(directory: str):
    """Take longer than it may.

    Args:
        directory: where the step notes its process.
    """
    slow(directory=directory, seconds=15.0)


@pipeline(
    timeout=datetime.timedelta(hours=1),
    on_success=[Notifier("notifiers.Write", {"path": "done.txt"})],
    sections={"What to tell": ["text"]},
)
def sectioned(text: str = "a"):
    """Tell, under a heading of the form.

    Args:
        text: any text.
    """
    told = tell(text=text)
    on_airflow(
        told, executor="LocalExecutor", queue="default", on_failure=[Notifier("notifiers.Write", {"path": "step.txt"})]
    )


@pipeline(schedule=datetime.timedelta(hours=6), data_interval=("since", "until"))
def six_hours_of_data(
    since: datetime.datetime | None = None, until: datetime.datetime | None = None, note: str = "a"
) -> None:
    """Read six hours.

    Args:
        since: start of the hours.
        until: their end.
        note: for show.
    """
    tell(text=f"{since} {until}")
