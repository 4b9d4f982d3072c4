# Compiled by Turnout from the pipeline clean-up: change that, not this file.

from airflow.sdk import DAG, Param, TaskGroup

from turnout.airflow import End, Status, Step

with DAG(
    dag_id="clean-up",
    doc_md="Work, and tell how it went.",
    schedule=None,
    catchup=False,
    params={"divisor": Param(2, type="integer", title="Divisor", description="0 fails.")},
    default_args={
        "spec": "clean_up.yaml",
        "spec_digest": "sha256:48367a75a40613e188262c639726cfef457af1d5b4103176bbe5b794902729d2",
    },
) as dag:
    with TaskGroup("guarded") as guarded:
        work = Step(task_id="work", doc_md="Divide.", inputs={"divisor": dag.param("divisor")})
    guarded_end = End(task_id="guarded-end", region="guarded")
    guarded >> guarded_end
    tell = Step(
        task_id="tell",
        doc_md="Say how it went.",
        trigger_rule="all_done",
        inputs={"status": Status(guarded_end)},
    )
    guarded_end >> tell
    [tell] >> End(task_id="state-of-the-run", region="")
