# Compiled by Turnout from the pipeline nested-loops: change that, not this file.

from airflow.sdk import DAG

from turnout.airflow import End, Items, Loop, Step

with DAG(
    dag_id="nested-loops",
    doc_md="Report of each shop and each of its days.",
    schedule=None,
    catchup=False,
    default_args={
        "spec": "nested_loops.yaml",
        "spec_digest": "sha256:7cac8748f273619269f5dcc0eb4cace09396acfb41a9c6e2c0647b17e5dd306d",
    },
) as dag:
    shops = Step(task_id="shops", doc_md="List the shops.")
    each_shop_items = Items(task_id="each-shop-items", items=shops.output["Output"])
    with Loop("each-shop", each_shop_items) as each_shop:
        each_day_items = Items(task_id="each-day-items", items=each_shop.item["days"])
        with Loop("each-day", each_day_items) as each_day:
            report = Step(
                task_id="report",
                doc_md="Report of a shop and a day.",
                inputs={"day": each_day.item, "shop": each_shop.item["city"]},
            )
        each_day_end = End(task_id="each-day-end", region="each-shop.each-day")
        [each_day_items, each_day] >> each_day_end
        publish = Step(
            task_id="publish",
            doc_md="Put reports together.",
            inputs={"reports": each_day.collect(report.output["Output"])},
        )
        each_day_end >> publish
