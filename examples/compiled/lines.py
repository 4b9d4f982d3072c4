# Compiled by Turnout from the pipeline lines: change that, not this file.

from airflow.sdk import DAG, Param, TaskGroup

from turnout.airflow import Step, When

with DAG(
    dag_id="lines",
    doc_md="Write lines, and count them if there are many.",
    schedule="@daily",
    catchup=False,
    params={
        "rows": Param(
            3,
            type="integer",
            minimum=1,
            title="Rows",
            description="how many. At least 1.",
        ),
    },
    default_args={
        "spec": "lines.yaml",
        "spec_digest": "sha256:27d4b62333ae1b3fad78d35237079714002f208e50683dd8a730e4bca0990235",
    },
) as dag:
    make = Step(task_id="make", doc_md="Write some lines.", inputs={"rows": dag.param("rows")})
    condition_1_when = When(
        task_id="condition-1-when",
        condition="make_Output == true",
        inputs={"make_Output": make.output["Output"]},
    )
    with TaskGroup("condition-1") as condition_1:
        count = Step(
            task_id="count",
            doc_md="Count the lines.",
            inputs={"data": make.output["data"]},
        )
    condition_1_when >> condition_1
