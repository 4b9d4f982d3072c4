# Compiled by Turnout from the pipeline container: change that, not this file.

from airflow.sdk import DAG, Param

from turnout.airflow import Outputs, Step

with DAG(
    dag_id="container",
    doc_md="Say it louder.",
    schedule=None,
    catchup=False,
    params={
        "text": Param(
            "hello",
            type=["null", "string"],
            title="Text",
            description="what to say.",
        ),
    },
    default_args={
        "spec": "container.yaml",
        "spec_digest": "sha256:b8f0ce45714c916b38172d6c9f492243a1a3fab438ee5fd9ed58d065733f79be",
    },
) as dag:
    shout = Step(task_id="shout", inputs={"text": dag.param("text")})
    outputs_of_the_run = Outputs(task_id="outputs-of-the-run", inputs={"Output": shout.output["loud"]})
