# Compiled by Turnout from the pipeline lightweight: change that, not this file.

from airflow.sdk import DAG, Param

from turnout.airflow import Outputs, Step

with DAG(
    dag_id="lightweight",
    schedule=None,
    catchup=False,
    params={
        "a": Param(1.0, type="number", title="A", description=""),
        "b": Param(2.0, type="number", title="B", description=""),
    },
    default_args={
        "spec": "lightweight.yaml",
        "spec_digest": "sha256:005bd308e5eec5d806044e25637099a2e27d1c0d6d4b97fcd525941f02ff4625",
    },
) as dag:
    add = Step(task_id="add", inputs={"a": dag.param("a"), "b": dag.param("b")})
    add_2 = Step(task_id="add-2", inputs={"a": add.output["Output"], "b": dag.param("b")})
    outputs_of_the_run = Outputs(task_id="outputs-of-the-run", inputs={"Output": add_2.output["Output"]})
