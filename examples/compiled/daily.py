# Compiled by Turnout from the pipeline daily: change that, not this file.

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from airflow.sdk import DAG, CronDataIntervalTimetable

from turnout.airflow import Interval, Notify, Step

with DAG(
    dag_id="daily",
    doc_md="Load yesterday.",
    schedule=CronDataIntervalTimetable("0 3 * * *", timezone="Europe/Berlin"),
    start_date=datetime(2024, 1, 1, tzinfo=ZoneInfo("Europe/Berlin")),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(seconds=7200),
    on_failure_callback=[
        Notify(
            "airflow.providers.slack.notifications.slack.SlackNotifier",
            {"text": "{{ dag.dag_id }} failed"},
        ),
    ],
    tags=["daily"],
    default_args={
        "spec": "daily.yaml",
        "spec_digest": "sha256:fe67bf7d3551c8bcd4dbd8dbbfd17f0c72b20706bdbf232fa0609c2448c75af2",
    },
) as dag:
    load = Step(
        task_id="load",
        doc_md="Load what came in an interval.",
        inputs={"since": Interval("since"), "until": Interval("until")},
    )
