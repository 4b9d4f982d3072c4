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
            title="Since",
            description="First day.",
        ),
        "names": Param(
            ["a", "b"],
            type=["null", "array"],
            items={"type": "string"},
            title="Names",
            description="Columns, one a line.",
        ),
        "limit": Param(
            None,
            type=["null", "integer"],
            minimum=1,
            title="Most rows",
            description="Empty for all. At least 1. Parameter: limit.",
        ),
        "kind": Param(
            "trees",
            type="string",
            enum=["linear", "trees"],
            values_display={"trees": "boosted trees"},
            section="Model",
            title="Kind",
            description="Of model.",
        ),
        "loss": Param(
            "squared",
            type="string",
            enum=["squared", "hinge"],
            section="Model",
            title="Loss",
            description="What the model makes small. With Kind trees: squared.",
        ),
        "share": Param(
            0.5,
            type="number",
            exclusiveMinimum=0,
            maximum=1,
            section="Model",
            title="Share of the rows",
            description="What is trained on. Above 0, at most 1. Parameter: share.",
        ),
        "zone": Param(
            "UTC",
            type=["null", "string"],
            examples=["UTC", "Europe/Berlin"],
            section="More",
            title="Time zone",
            description="Of the days. Clear the field to see suggestions. Parameter: zone.",
        ),
    },
    default_args={
        "spec": "form.yaml",
        "spec_digest": "sha256:6df5341825ebbb557eda16d3574be73f6978c3f7a83f6c62e9af6184fa733eaf",
    },
) as dag:
    describe = Step(
        task_id="describe",
        doc_md="Say what was asked for.",
        inputs={
            "kind": dag.param("kind"),
            "limit": dag.param("limit"),
            "loss": dag.param("loss"),
            "names": dag.param("names"),
            "share": dag.param("share"),
            "since": dag.param("since"),
            "zone": dag.param("zone"),
        },
    )
    outputs_of_the_run = Outputs(task_id="outputs-of-the-run", inputs={"Output": describe.output["Output"]})
