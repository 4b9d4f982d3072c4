# Compiled by Turnout from the pipeline form: change that, not this file.

from airflow.sdk import DAG, Param

from turnout.airflow import Outputs, Step

with DAG(
    dag_id="form",
    doc_md="Ask for everything that a form can ask for.",
    schedule=None,
    catchup=False,
    params={
        "since": Param(
            "2024-01-31",
            type="string",
            format="date",
            section="Data",
            description="First day.",
        ),
        "names": Param(
            ["a", "b"],
            type=["null", "array"],
            items={"type": "string"},
            section="Data",
            description="Columns, one a line.",
        ),
        "limit": Param(
            None,
            type=["null", "integer"],
            minimum=1,
            section="Data",
            description="Most rows; empty for all.",
        ),
        "kind": Param(
            "trees",
            type="string",
            enum=["linear", "trees"],
            section="Model",
            description="Of model.",
        ),
        "share": Param(
            0.5,
            type="number",
            exclusiveMinimum=0,
            maximum=1,
            section="Model",
            description="Of the rows to train on.",
        ),
    },
    default_args={
        "spec": "form.yaml",
        "spec_digest": "sha256:7324f53d3728b5e582bed6bcd9a669581769570dd2476b5abd497bc278012f1f",
    },
) as dag:
    describe = Step(
        task_id="describe",
        doc_md="Say what was asked for.",
        inputs={
            "kind": dag.param("kind"),
            "limit": dag.param("limit"),
            "names": dag.param("names"),
            "share": dag.param("share"),
            "since": dag.param("since"),
        },
    )
    outputs_of_the_run = Outputs(task_id="outputs-of-the-run", inputs={"Output": describe.output["Output"]})
