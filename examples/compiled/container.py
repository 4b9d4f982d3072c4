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
        "spec_digest": "sha256:aa350d6456763ebd28c69973739a547f83dc30a36838d95f072a9d9f92035597",
    },
) as dag:
    shout = Step(task_id="shout", inputs={"text": dag.param("text")})
    outputs_of_the_run = Outputs(task_id="outputs-of-the-run", inputs={"Output": shout.output["loud"]})
