# Compiled by Turnout from the pipeline imported: change that, not this file.

from airflow.sdk import DAG, Param

from turnout.airflow import Outputs, Step

with DAG(
    dag_id="imported",
    doc_md="Measure a file.",
    schedule=None,
    catchup=False,
    params={
        "uri": Param(
            "examples/README.md",
            type=["null", "string"],
            title="Uri",
            description="where it is.",
        ),
    },
    default_args={
        "spec": "imported.yaml",
        "spec_digest": "sha256:a60f48efe6269798e100ef2fcdbbb27ef75e4994605301c8f4d6205dc8441714",
    },
) as dag:
    importer = Step(task_id="importer", inputs={"uri": dag.param("uri")})
    size = Step(
        task_id="size",
        doc_md="Count the bytes of a file.",
        inputs={"data": importer.output["artifact"]},
    )
    outputs_of_the_run = Outputs(task_id="outputs-of-the-run", inputs={"Output": size.output["Output"]})
