# Compiled by Turnout from the pipeline own-report: change that, not this file.

from airflow.sdk import DAG, Param

from turnout.airflow import Outputs, Step

with DAG(
    dag_id="own-report",
    doc_md="Count orders, and say what the report says.",
    schedule=None,
    catchup=False,
    params={
        "shops": Param(
            ["north", "south"],
            type=["null", "array"],
            items={"type": "string"},
            title="Shops",
            description="their names. One a line.",
        ),
    },
    default_args={
        "spec": "own_report.yaml",
        "spec_digest": "sha256:7d0b6d2752aa79c509a6d9954ab74e84fc86208e5c44aa5d8b1fc5eea93474a2",
    },
) as dag:
    count_orders = Step(
        task_id="count-orders",
        doc_md="Count the orders of each shop.",
        inputs={"shops": dag.param("shops")},
    )
    read_verdict = Step(
        task_id="read-verdict",
        doc_md="Say the verdict of a report.",
        inputs={"report": count_orders.output["report"]},
    )
    outputs_of_the_run = Outputs(
        task_id="outputs-of-the-run",
        inputs={"Output": read_verdict.output["Output"]},
    )
