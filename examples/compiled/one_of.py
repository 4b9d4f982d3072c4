# Compiled by Turnout from the pipeline one-of: change that, not this file.

from airflow.sdk import DAG, Param, TaskGroup

from turnout.airflow import End, OneOf, Outputs, Step, When

with DAG(
    dag_id="one-of",
    doc_md="Say who wins.",
    schedule=None,
    catchup=False,
    params={"seed": Param(7, type="integer", title="Seed", description="of the coin.")},
    default_args={
        "spec": "one_of.yaml",
        "spec_digest": "sha256:06fc3561be25770dd4369b8c1d47425c4e9431b0a0fc0f11c32c64b4be93209c",
    },
) as dag:
    flip = Step(
        task_id="flip",
        doc_md="Give a side of a coin.",
        inputs={"seed": dag.param("seed")},
    )
    with TaskGroup("condition-branches-1") as condition_branches_1:
        heads_when = When(
            task_id="heads-when",
            condition="flip_Output == 'heads'",
            inputs={"flip_Output": flip.output["Output"]},
        )
        with TaskGroup("heads") as heads:
            say = Step(
                task_id="say",
                doc_md="Give a text back.",
                inputs={"text": "the first player wins"},
            )
        heads_when >> heads
        tails_when = When(
            task_id="tails-when",
            condition="!(flip_Output == 'heads')",
            inputs={"flip_Output": flip.output["Output"]},
        )
        with TaskGroup("tails") as tails:
            say_2 = Step(
                task_id="say-2",
                doc_md="Give a text back.",
                inputs={"text": "the second player wins"},
            )
        tails_when >> tails
    flip >> condition_branches_1
    condition_branches_1_end = End(task_id="condition-branches-1-end", region="condition-branches-1")
    condition_branches_1 >> condition_branches_1_end
    say_3 = Step(
        task_id="say-3",
        doc_md="Give a text back.",
        inputs={"text": OneOf(say.output["Output"], say_2.output["Output"])},
    )
    condition_branches_1_end >> say_3
    outputs_of_the_run = Outputs(task_id="outputs-of-the-run", inputs={"Output": say_3.output["Output"]})
