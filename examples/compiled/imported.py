# Compiled by Turnout from the pipeline imported: change that, not this file.

from airflow.sdk import DAG, Param

from turnout.airflow import Outputs, Step

with DAG(
    dag_id="imported",
    doc_md="Measure a file.",
    schedule=None,
    catchup=False,
    params={"uri": Param("examples/README.md", type=["null", "string"], description="where it is.")},
    default_args={
        "spec": "imported.yaml",
        "spec_digest": "sha256:ef8dc615bb9772b6603a56e109dbf5ab738835f28e44a3624d59ef2d96be93d5",
    },
) as dag:
    importer = Step(task_id="importer", inputs={"uri": dag.param("uri")})
    size = Step(
        task_id="size",
        doc_md="Count the bytes of a file.",
        inputs={"data": importer.output["artifact"]},
    )
    outputs_of_the_run = Outputs(task_id="outputs-of-the-run", inputs={"Output": size.output["Output"]})
