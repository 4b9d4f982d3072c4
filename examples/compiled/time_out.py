# Compiled by Turnout from the pipeline time-out: change that, not this file.

from datetime import timedelta

from airflow.sdk import DAG, Param

from turnout.airflow import Step

with DAG(
    dag_id="time-out",
    doc_md="Fetch a page, patiently.",
    schedule=None,
    catchup=False,
    params={
        "address": Param(
            "example",
            type=["null", "string"],
            title="Address",
            description="of the page.",
        ),
    },
    default_args={
        "spec": "time_out.yaml",
        "spec_digest": "sha256:fc977f83394c84d26468733d147fdead42a68612f479b9725943e78e6fb06129",
    },
) as dag:
    fetch = Step(
        task_id="fetch",
        doc_md="Fetch a page.",
        inputs={"address": dag.param("address")},
        retries=3,
        retry_delay=timedelta(seconds=10),
        retry_exponential_backoff=2.0,
        max_retry_delay=timedelta(seconds=60),
    )
