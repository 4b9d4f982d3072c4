"""A loop in a loop, over what a step returned."""

from kfp import dsl

from turnout import component, pipeline


@component
def shops() -> list:
    """List the shops."""
    return [{"city": "north", "days": ["mon", "tue"]}, {"city": "south", "days": ["wed"]}]


@component
def report(shop: str, day: str) -> str:
    """Report of a shop and a day.

    Args:
        shop: its city.
        day: of the week.
    """
    return f"{shop} {day}"


@component
def publish(reports: list) -> str:
    """Put reports together.

    Args:
        reports: all of them.
    """
    return ", ".join(reports)


@pipeline
def nested_loops():
    """Report of each shop and each of its days."""
    with dsl.ParallelFor(shops().output, name="each-shop") as shop:
        with dsl.ParallelFor(shop.days, name="each-day") as day:
            made = report(shop=shop.city, day=day)
        publish(reports=dsl.Collected(made.output))
