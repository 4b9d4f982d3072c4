# Compiled by Turnout from the pipeline time-out: change that, not this file.

from datetime import timedelta

from airflow.sdk import DAG, Param

from turnout.airflow import Step

with DAG(
    dag_id="time-out",
    doc_md="Fetch a page, patiently.",
    schedule=None,
    catchup=False,
    params={"address": Param("example", type=["null", "string"], description="of the page.")},
    default_args={
        "spec": "time_out.yaml",
        "spec_digest": "sha256:c91b71eabb47a1ec8035c620a405fb744599bfff3f6273a9e2653270df1edb88",
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
