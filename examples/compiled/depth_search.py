# Compiled by Turnout from the pipeline depth-search: change that, not this file.

from datetime import timedelta

from airflow.sdk import DAG, Asset, Param, TaskGroup

from turnout.airflow import End, Items, Loop, Step, When

with DAG(
    dag_id="depth-search",
    doc_md="Search over several depths.",
    schedule=None,
    catchup=False,
    params={
        "depths": Param(
            [2, 4, 8],
            type=["null", "array"],
            items={"type": "integer"},
            title="Depths",
            description="to try.",
        ),
        "since": Param(
            "2024-01-01",
            type=["null", "string"],
            title="Since",
            description="start of the data.",
        ),
        "until": Param(
            "2024-02-01",
            type=["null", "string"],
            title="Until",
            description="its end.",
        ),
    },
    default_args={
        "spec": "depth_search.yaml",
        "spec_digest": "sha256:a01d0419dc11503055fe8a9be1c49aba25f524691e7e28be8275a2fb15119e83",
    },
) as dag:
    features = Step(
        task_id="features",
        doc_md="Compute the features of an interval.",
        inputs={"since": dag.param("since"), "until": dag.param("until")},
    )
    each_depth_items = Items(task_id="each-depth-items", items=dag.param("depths"))
    with Loop("each-depth", each_depth_items, parallelism=2) as each_depth:
        train = Step(
            task_id="train",
            doc_md="Fit a model and judge it.",
            inputs={"depth": each_depth.item, "features": features.output["Output"]},
            retries=2,
            retry_delay=timedelta(seconds=60),
            retry_exponential_backoff=2.0,
            max_retry_delay=timedelta(seconds=3600),
        )
    features >> each_depth_items
    each_depth_end = End(task_id="each-depth-end", region="each-depth")
    [each_depth_items, each_depth] >> each_depth_end
    best = Step(
        task_id="best",
        doc_md="Choose the best score.",
        inputs={"scores": each_depth.collect(train.output["Output"])},
    )
    each_depth_end >> best
    good_enough_when = When(
        task_id="good-enough-when",
        condition="best_Output > 0.7",
        inputs={"best_Output": best.output["Output"]},
    )
    with TaskGroup("good-enough") as good_enough:
        promote = Step(
            task_id="promote",
            doc_md="Put the model into service.",
            pool="default_pool",
            publishes={"Output": Asset(name="champion")},
            inputs={"score": best.output["Output"]},
        )
    good_enough_when >> good_enough
