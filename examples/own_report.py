"""A component's own report: written while it runs, with a verdict that stands beside the page, too."""

import turnout
from turnout import HTML, Input, Output, component, pipeline


@component
def count_orders(report: Output[HTML], shops: list[str]):
    """Count the orders of each shop.

    Args:
        report: the orders, as a page.
        shops: their names.
    """
    orders = []
    with turnout.report(report, "Orders") as page:
        for shop in shops:
            page.progress(len(orders), len(shops), "shops")
            orders.append({"shop": shop, "orders": len(shop)})
        page.verdict("All shops have sold", good=all(row["orders"] for row in orders))
        page.metric("orders", sum(row["orders"] for row in orders))
        page.heading("By shop")
        page.table(orders)
        page.markdown("An order counts on the day on which it is *paid*.")


@component
def read_verdict(report: Input[HTML]) -> str:
    """Say the verdict of a report.

    Args:
        report: of orders.
    """
    return report.metadata["verdict"]


@pipeline
def own_report(shops: list[str] = ["north", "south"]) -> str:
    """Count orders, and say what the report says.

    Args:
        shops: their names.
    """
    counted = count_orders(shops=shops)
    return read_verdict(report=counted.outputs["report"]).output
