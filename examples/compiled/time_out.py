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
        "spec_digest": "sha256:00b6e796870d0c71f1dac817254f842b99e50e82afa2dcbe8c5be7f306d75e0c",
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
