# Compiled by Turnout from the pipeline container: change that, not this file.

from airflow.sdk import DAG, Param

from turnout.airflow import Outputs, Step

with DAG(
    dag_id="container",
    doc_md="Say it louder.",
    schedule=None,
    catchup=False,
    params={"text": Param("hello", type=["null", "string"], description="what to say.")},
    default_args={
        "spec": "container.yaml",
        "spec_digest": "sha256:1b2b314ab85a49b638f94d983773d67189a3e01b3c62ed86f343f5441236aaa9",
    },
) as dag:
    shout = Step(task_id="shout", inputs={"text": dag.param("text")})
    outputs_of_the_run = Outputs(task_id="outputs-of-the-run", inputs={"Output": shout.output["loud"]})
