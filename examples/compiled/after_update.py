# Compiled by Turnout from the pipeline after-update: change that, not this file.

from airflow.sdk import DAG, Asset, AssetOrTimeSchedule, CronTriggerTimetable, Param

from turnout.airflow import Step

with DAG(
    dag_id="after-update",
    doc_md="Refresh what depends on a table.",
    schedule=AssetOrTimeSchedule(
        timetable=CronTriggerTimetable("@weekly", timezone="UTC"),
        assets=Asset(name="orders") | Asset(name="customers"),
    ),
    catchup=False,
    params={
        "table": Param("orders", type=["null", "string"], title="Table", description="its name."),
    },
    default_args={
        "spec": "after_update.yaml",
        "spec_digest": "sha256:d4c5f531a343850f1e466b26acd1ba62fd45529586467b4d61e0bc361f6bd25a",
    },
) as dag:
    refresh = Step(
        task_id="refresh",
        doc_md="Read a table anew.",
        inputs={"table": dag.param("table")},
    )
