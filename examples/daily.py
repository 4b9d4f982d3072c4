"""A schedule with a time zone; each run has the interval of its data, also in a backfill."""

import datetime

from turnout import Notifier, component, pipeline


@component
def load(since: str, until: str) -> str:
    """Load what came in an interval.

    Args:
        since: its start, ISO 8601.
        until: its end, which is not part of it.
    """
    return f"{since} to {until}"


@pipeline(
    schedule="0 3 * * *",
    timezone="Europe/Berlin",
    start_date=datetime.date(2024, 1, 1),
    data_interval=("since", "until"),
    max_active_runs=1,
    timeout=datetime.timedelta(hours=2),
    on_failure=[
        Notifier("airflow.providers.slack.notifications.slack.SlackNotifier", {"text": "{{ dag.dag_id }} failed"})
    ],
    tags=["daily"],
)
def daily(since: datetime.datetime | None = None, until: datetime.datetime | None = None):
    """Load yesterday.

    Args:
        since: start of the day; the schedule fills it in.
        until: its end.
    """
    load(since=since, until=until)
