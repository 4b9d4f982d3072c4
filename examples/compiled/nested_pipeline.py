# Compiled by Turnout from the pipeline nested-pipeline: change that, not this file.

from airflow.sdk import DAG, Param, TaskGroup

from turnout.airflow import Outputs, Step

with DAG(
    dag_id="nested-pipeline",
    doc_md="Make sixteen times a number.",
    schedule=None,
    catchup=False,
    params={"number": Param(3, type="integer", title="Number", description="any.")},
    default_args={
        "spec": "nested_pipeline.yaml",
        "spec_digest": "sha256:3bbbe8ba0a6e657260782eb2b6ebb576da181a1dc6592cb4b4e5171488db615e",
    },
) as dag:
    with TaskGroup("four-times") as four_times:
        double = Step(
            task_id="double",
            doc_md="Double a number.",
            inputs={"number": dag.param("number")},
        )
        double_2 = Step(
            task_id="double-2",
            doc_md="Double a number.",
            inputs={"number": double.output["Output"]},
        )
    with TaskGroup("four-times-2") as four_times_2:
        four_times_2_double = Step(
            task_id="double",
            doc_md="Double a number.",
            inputs={"number": double_2.output["Output"]},
        )
        four_times_2_double_2 = Step(
            task_id="double-2",
            doc_md="Double a number.",
            inputs={"number": four_times_2_double.output["Output"]},
        )
    four_times >> four_times_2
    outputs_of_the_run = Outputs(
        task_id="outputs-of-the-run",
        inputs={"Output": four_times_2_double_2.output["Output"]},
    )
    four_times_2 >> outputs_of_the_run
