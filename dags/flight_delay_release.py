# Compiled by Turnout from the pipeline flight-delay-release: change that, not this file.

from airflow.sdk import DAG, Asset, Param, TaskGroup

from turnout.airflow import End, Status, Step, Template, When

with DAG(
    dag_id="flight-delay-release",
    dag_display_name="Release",
    doc_md=(
        "Release a registered model step by step, each judged by what users saw, and take it back when it is worse.\n"
        "A version first answers golden requests; then it gets copies of the traffic, and its answers are thrown away; then 5\n"
        "and 25 percent of the requests; then all. A step goes on when the version is known to be no worse. When it is worse,\n"
        "or anything fails, the version before answers all requests again, the run fails, and people are told. When time is\n"
        "over and it is not yet known, for example because there was no traffic, the version keeps its part, people are told,\n"
        "and the next run judges it by more."
    ),
    schedule=None,
    catchup=False,
    max_active_runs=1,
    tags=["example", "release"],
    params={
        "registered_model": Param(
            "flight-delay",
            type=["null", "string"],
            title="Registered model",
            description="Name in the MLflow registry.",
        ),
        "alias": Param(
            "challenger",
            type=["null", "string"],
            examples=["challenger"],
            title="Alias of the version",
            description="Alias of the version that is to be released, in the registry. Clear the field to see suggestions. Parameter: alias.",
        ),
        "target": Param(
            "local",
            type=["null", "string"],
            examples=["local", "local:/srv/serving", "kubernetes:kubernetes.yaml"],
            title="Target",
            description="Where it is served. Clear the field to see suggestions.",
        ),
        "channels": Param(
            [],
            type=["null", "array"],
            items={"type": "string"},
            title="Channels",
            description="Where to tell how it went: Apprise URLs, file:PATH, or $NAME of a variable that holds one. One a line.",
        ),
        "golden": Param(
            "data/flights/flights.parquet",
            type=["null", "string"],
            section="Smoke test",
            title="Table of golden rows",
            description="Path or URI of a table whose first rows are the golden requests. Where it lacks columns that the model takes, such as features, rows of the version's evaluation are sent. Parameter: golden.",
        ),
        "staging": Param(
            "",
            type=["null", "string"],
            examples=["local:.turnout/staging"],
            section="Smoke test",
            title="Target to try it on first",
            description="Target to which the version is deployed for the golden requests; empty to try it in the step. Parameter: staging.",
        ),
        "golden_rows": Param(
            100,
            type="integer",
            minimum=1,
            section="Smoke test",
            title="Golden requests",
            description="How many rows to send. At least 1. Parameter: golden_rows.",
        ),
        "latency_ms": Param(
            0.0,
            type="number",
            minimum=0,
            section="Smoke test",
            title="Most milliseconds of the p99",
            description="What the p99 of golden requests may take; 0 for any. At least 0. Parameter: latency_ms.",
        ),
        "shadow_percent": Param(
            100.0,
            type="number",
            minimum=0,
            maximum=100,
            section="Steps",
            title="Percent of requests that are copied",
            description="Percent of the requests that the version gets copies of, before its answers are used; 0 where the target has no copies to give, and the version is loaded only. At least 0, at most 100. Parameter: shadow_percent.",
        ),
        "wait_minutes": Param(
            60.0,
            type="number",
            minimum=0,
            section="Steps",
            title="Minutes to judge a step",
            description="How long to judge each step. At least 0. Parameter: wait_minutes.",
        ),
        "every_seconds": Param(
            5.0,
            type="number",
            exclusiveMinimum=0,
            section="Steps",
            title="Seconds between looks",
            description="Seconds between two looks of the judge. Above 0. Parameter: every_seconds.",
        ),
        "wait_seconds": Param(
            300.0,
            type="number",
            minimum=0,
            section="Steps",
            title="Seconds until a version answers",
            description="How long the target may take until a version answers. At least 0. Parameter: wait_seconds.",
        ),
        "alpha": Param(
            0.05,
            type="number",
            exclusiveMinimum=0,
            exclusiveMaximum=1,
            section="Judgement",
            title="Probability of a wrong verdict",
            description="Probability that a version as good is called worse, and that a worse one is let pass. Above 0, below 1. Parameter: alpha.",
        ),
        "needed": Param(
            ["errors", "p50", "p99", "predictions"],
            type=["null", "array"],
            items={
                "type": "string",
                "enum": ["errors", "p50", "p99", "predictions", "loss", "bias", "business"],
            },
            examples=["errors", "p50", "p99", "predictions", "loss", "bias", "business"],
            section="Judgement",
            title="What has to be known",
            description="What has to be known before a step goes on; of the rest it is enough not to be worse. Parameter: needed.",
        ),
        "error_ratio": Param(
            2.0,
            type="number",
            exclusiveMinimum=1,
            section="Judgement",
            title="Ratio of errors that matters",
            description="Ratio of the error rates from which on the version is worse. Above 1. Parameter: error_ratio.",
        ),
        "error_rate": Param(
            0.001,
            type="number",
            minimum=0,
            exclusiveMaximum=1,
            section="Judgement",
            title="Rate of errors that does not matter",
            description="Rate of errors below which they do not matter. At least 0, below 1. Parameter: error_rate.",
        ),
        "latency_ratio": Param(
            1.2,
            type="number",
            exclusiveMinimum=1,
            section="Judgement",
            title="Ratio of latencies that matters",
            description="Ratio of the median or the p99 latency from which on the version is worse. Above 1. Parameter: latency_ratio.",
        ),
        "prediction_share": Param(
            0.1,
            type="number",
            exclusiveMinimum=0,
            exclusiveMaximum=1,
            section="Judgement",
            title="Share of other predictions that matters",
            description="Share of the requests predicted otherwise from which on the version is worse. Above 0, below 1. Parameter: prediction_share.",
        ),
        "different_share": Param(
            0.5,
            type="number",
            exclusiveMinimum=0,
            maximum=1,
            section="Judgement",
            title="Share of other classes that matters",
            description="Share of the copied requests that get another class from which on the version is worse. Above 0, at most 1. Parameter: different_share.",
        ),
        "loss": Param(
            0.02,
            type="number",
            exclusiveMinimum=0,
            exclusiveMaximum=1,
            section="Judgement",
            title="Difference of losses that matters",
            description="Difference of the mean loss, of calibration, or of the business metric, from which on it is worse. Above 0, below 1. Parameter: loss.",
        ),
        "labels": Param(
            "",
            type=["null", "string"],
            section="Labels",
            title="Table to which labels come",
            description="Path or URI of a table to which labels of predictions come; empty for none. Parameter: labels.",
        ),
        "label": Param(
            "",
            type=["null", "string"],
            section="Labels",
            title="Column of the truth",
            description="Its column with the truth. Parameter: label.",
        ),
        "label_keys": Param(
            ["request_id"],
            type=["null", "array"],
            items={"type": "string"},
            section="Labels",
            title="Columns that tell requests apart",
            description="Its columns that tell requests apart, such as request_id, or columns that the model takes. One a line. Parameter: label_keys.",
        ),
        "business": Param(
            "",
            type=["null", "string"],
            section="Labels",
            title="Column of the business metric",
            description="Its column with what a request brought, from 0 to 1; more is better. Parameter: business.",
        ),
        "largest_error": Param(
            0.0,
            type="number",
            minimum=0,
            section="Labels",
            title="Error that is as bad as can be, of a number",
            description="Where the model predicts a number, the error that is a loss of 1. At least 0. Parameter: largest_error.",
        ),
        "silence_hours": Param(
            24.0,
            type="number",
            minimum=0,
            section="Notices",
            title="Hours between like notices",
            description="How long a channel is not told the same again. At least 0. Parameter: silence_hours.",
        ),
        "notices": Param(
            ".turnout/notices.json",
            type=["null", "string"],
            section="Notices",
            title="File of notices",
            description="Path or URI of the file that remembers what was told. Parameter: notices.",
        ),
    },
    default_args={
        "spec": "flight_delay_release.yaml",
        "spec_digest": "sha256:1dd76bcc44137871ba4f7a4c52ef6264d9b2235a6fc3e6ad80ac0d3a9f9b809f",
    },
) as dag:
    with TaskGroup("release_steps") as release_steps:
        pin_model = Step(
            task_id="pin-model",
            doc_md="Give the version that a model's alias means now: steps that come later, or again, use the same one.",
            inlets=[Asset(name="models:/flight-delay@challenger")],
            inputs={
                "model": Template(
                    "models:/{{$.inputs.parameters['pipelinechannel--registered_model']}}@{{$.inputs.parameters['pipelinechannel--alias']}}",
                    {
                        "pipelinechannel--registered_model": dag.param("registered_model"),
                        "pipelinechannel--alias": dag.param("alias"),
                    },
                ),
            },
        )
        ingest = Step(
            task_id="ingest",
            doc_md="Read a table from where it is kept, and record exactly what was read.",
            inlets=[Asset(name="data/flights/flights.parquet")],
            inputs={"source": dag.param("golden")},
        )
        smoke_test = Step(
            task_id="smoke-test",
            doc_md="Send golden requests to a version, and fail unless all is right.",
            inlets=[
                Asset(name="models:/flight-delay@champion"),
                Asset(name="models:/flight-delay@challenger"),
                Asset(name="data/flights/flights.parquet"),
            ],
            inputs={
                "latency_ms": dag.param("latency_ms"),
                "registered_model": dag.param("registered_model"),
                "rows": dag.param("golden_rows"),
                "staging": dag.param("staging"),
                "target": dag.param("target"),
                "version": pin_model.output["version"],
                "wait_seconds": dag.param("wait_seconds"),
                "golden": ingest.output["data"],
            },
        )
        deploy = Step(
            task_id="deploy",
            doc_md="Try a model version on sample rows, then put it into service: for all requests, or a part of them.",
            asset_names={"champion": "models:/{registered_model}@{alias}"},
            inlets=[Asset(name="models:/flight-delay@challenger")],
            inputs={
                "alias": "",
                "percent": dag.param("shadow_percent"),
                "registered_model": dag.param("registered_model"),
                "shadow": True,
                "target": dag.param("target"),
                "version": pin_model.output["version"],
                "wait_seconds": dag.param("wait_seconds"),
                "why": "shadow",
            },
        )
        smoke_test >> deploy
        judge_canary = Step(
            task_id="judge-canary",
            doc_md="Look at what users saw until it is known whether a version is worse than the one in service, or time is over.",
            inputs={
                "alpha": dag.param("alpha"),
                "business": dag.param("business"),
                "different_share": dag.param("different_share"),
                "error_rate": dag.param("error_rate"),
                "error_ratio": dag.param("error_ratio"),
                "every_seconds": dag.param("every_seconds"),
                "label": dag.param("label"),
                "label_keys": dag.param("label_keys"),
                "labels": dag.param("labels"),
                "largest_error": dag.param("largest_error"),
                "latency_ratio": dag.param("latency_ratio"),
                "loss": dag.param("loss"),
                "needed": dag.param("needed"),
                "prediction_share": dag.param("prediction_share"),
                "registered_model": dag.param("registered_model"),
                "target": dag.param("target"),
                "version": pin_model.output["version"],
                "wait_minutes": dag.param("wait_minutes"),
            },
        )
        deploy >> judge_canary
        worse_before_5_when = When(
            task_id="worse_before_5-when",
            condition="judge_canary_worse == true",
            inputs={"judge_canary_worse": judge_canary.output["worse"]},
        )
        with TaskGroup("worse_before_5") as worse_before_5:
            roll_back = Step(
                task_id="roll-back",
                doc_md="Take a version out, whatever part of the traffic it has: the version before it answers all requests.",
                inputs={
                    "fail": True,
                    "registered_model": dag.param("registered_model"),
                    "target": dag.param("target"),
                    "version": pin_model.output["version"],
                    "why": judge_canary.output["summary"],
                },
            )
        pin_model >> worse_before_5_when
        worse_before_5_when >> worse_before_5
        go_on_to_5_when = When(
            task_id="go_on_to_5-when",
            condition="judge_canary_passed == true",
            inputs={"judge_canary_passed": judge_canary.output["passed"]},
        )
        with TaskGroup("go_on_to_5") as go_on_to_5:
            deploy_2 = Step(
                task_id="deploy-2",
                doc_md="Try a model version on sample rows, then put it into service: for all requests, or a part of them.",
                asset_names={"champion": "models:/{registered_model}@{alias}"},
                inlets=[Asset(name="models:/flight-delay@challenger")],
                inputs={
                    "alias": "",
                    "percent": 5,
                    "registered_model": dag.param("registered_model"),
                    "target": dag.param("target"),
                    "version": pin_model.output["version"],
                    "wait_seconds": dag.param("wait_seconds"),
                    "why": "5 % after a judgement",
                },
            )
            judge_canary_2 = Step(
                task_id="judge-canary-2",
                doc_md="Look at what users saw until it is known whether a version is worse than the one in service, or time is over.",
                inputs={
                    "alpha": dag.param("alpha"),
                    "business": dag.param("business"),
                    "different_share": dag.param("different_share"),
                    "error_rate": dag.param("error_rate"),
                    "error_ratio": dag.param("error_ratio"),
                    "every_seconds": dag.param("every_seconds"),
                    "label": dag.param("label"),
                    "label_keys": dag.param("label_keys"),
                    "labels": dag.param("labels"),
                    "largest_error": dag.param("largest_error"),
                    "latency_ratio": dag.param("latency_ratio"),
                    "loss": dag.param("loss"),
                    "needed": dag.param("needed"),
                    "prediction_share": dag.param("prediction_share"),
                    "registered_model": dag.param("registered_model"),
                    "target": dag.param("target"),
                    "version": pin_model.output["version"],
                    "wait_minutes": dag.param("wait_minutes"),
                },
            )
            deploy_2 >> judge_canary_2
            worse_before_25_when = When(
                task_id="worse_before_25-when",
                condition="judge_canary_2_worse == true",
                inputs={"judge_canary_2_worse": judge_canary_2.output["worse"]},
            )
            with TaskGroup("worse_before_25") as worse_before_25:
                roll_back_2 = Step(
                    task_id="roll-back-2",
                    doc_md="Take a version out, whatever part of the traffic it has: the version before it answers all requests.",
                    inputs={
                        "fail": True,
                        "registered_model": dag.param("registered_model"),
                        "target": dag.param("target"),
                        "version": pin_model.output["version"],
                        "why": judge_canary_2.output["summary"],
                    },
                )
            worse_before_25_when >> worse_before_25
            go_on_to_25_when = When(
                task_id="go_on_to_25-when",
                condition="judge_canary_2_passed == true",
                inputs={"judge_canary_2_passed": judge_canary_2.output["passed"]},
            )
            with TaskGroup("go_on_to_25") as go_on_to_25:
                deploy_3 = Step(
                    task_id="deploy-3",
                    doc_md="Try a model version on sample rows, then put it into service: for all requests, or a part of them.",
                    asset_names={"champion": "models:/{registered_model}@{alias}"},
                    inlets=[Asset(name="models:/flight-delay@challenger")],
                    inputs={
                        "alias": "",
                        "percent": 25,
                        "registered_model": dag.param("registered_model"),
                        "target": dag.param("target"),
                        "version": pin_model.output["version"],
                        "wait_seconds": dag.param("wait_seconds"),
                        "why": "25 % after a judgement",
                    },
                )
                judge_canary_3 = Step(
                    task_id="judge-canary-3",
                    doc_md="Look at what users saw until it is known whether a version is worse than the one in service, or time is over.",
                    inputs={
                        "alpha": dag.param("alpha"),
                        "business": dag.param("business"),
                        "different_share": dag.param("different_share"),
                        "error_rate": dag.param("error_rate"),
                        "error_ratio": dag.param("error_ratio"),
                        "every_seconds": dag.param("every_seconds"),
                        "label": dag.param("label"),
                        "label_keys": dag.param("label_keys"),
                        "labels": dag.param("labels"),
                        "largest_error": dag.param("largest_error"),
                        "latency_ratio": dag.param("latency_ratio"),
                        "loss": dag.param("loss"),
                        "needed": dag.param("needed"),
                        "prediction_share": dag.param("prediction_share"),
                        "registered_model": dag.param("registered_model"),
                        "target": dag.param("target"),
                        "version": pin_model.output["version"],
                        "wait_minutes": dag.param("wait_minutes"),
                    },
                )
                deploy_3 >> judge_canary_3
                worse_before_100_when = When(
                    task_id="worse_before_100-when",
                    condition="judge_canary_3_worse == true",
                    inputs={"judge_canary_3_worse": judge_canary_3.output["worse"]},
                )
                with TaskGroup("worse_before_100") as worse_before_100:
                    roll_back_3 = Step(
                        task_id="roll-back-3",
                        doc_md="Take a version out, whatever part of the traffic it has: the version before it answers all requests.",
                        inputs={
                            "fail": True,
                            "registered_model": dag.param("registered_model"),
                            "target": dag.param("target"),
                            "version": pin_model.output["version"],
                            "why": judge_canary_3.output["summary"],
                        },
                    )
                worse_before_100_when >> worse_before_100
                go_on_to_100_when = When(
                    task_id="go_on_to_100-when",
                    condition="judge_canary_3_passed == true",
                    inputs={"judge_canary_3_passed": judge_canary_3.output["passed"]},
                )
                with TaskGroup("go_on_to_100") as go_on_to_100:
                    promote = Step(
                        task_id="promote",
                        doc_md="Give a version all requests, and the alias `champion`; the one before keeps `previous_champion`, the way back.",
                        publishes={"version": Asset(name="models:/flight-delay@champion")},
                        asset_names={"version": "models:/{registered_model}@champion"},
                        inlets=[Asset(name="models:/flight-delay@challenger")],
                        inputs={
                            "registered_model": dag.param("registered_model"),
                            "target": dag.param("target"),
                            "version": pin_model.output["version"],
                            "wait_seconds": dag.param("wait_seconds"),
                            "why": "each step was judged",
                        },
                    )
                go_on_to_100_when >> go_on_to_100
            go_on_to_25_when >> go_on_to_25
        pin_model >> go_on_to_5_when
        go_on_to_5_when >> go_on_to_5
    release_steps_end = End(task_id="release_steps-end", region="release_steps")
    [release_steps, pin_model, ingest, smoke_test, deploy, judge_canary] >> release_steps_end
    end_release = Step(
        task_id="end-release",
        doc_md="Tell how a release went; where a step of it failed, the version is taken out first, if it still has any traffic.",
        trigger_rule="all_done",
        inputs={
            "alias": dag.param("alias"),
            "channels": dag.param("channels"),
            "registered_model": dag.param("registered_model"),
            "silence_hours": dag.param("silence_hours"),
            "state": dag.param("notices"),
            "status": Status(release_steps_end),
            "target": dag.param("target"),
        },
    )
    release_steps_end >> end_release
    [end_release] >> End(task_id="state-of-the-run", region="")
