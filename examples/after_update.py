"""A run whenever an asset was updated, or each Monday."""

from turnout import Asset, component, pipeline


@component
def refresh(table: str) -> str:
    """Read a table anew.

    Args:
        table: its name.
    """
    return f"{table} is fresh"


@pipeline(triggered_by=Asset("orders") | Asset("customers"), schedule="@weekly")
def after_update(table: str = "orders"):
    """Refresh what depends on a table.

    Args:
        table: its name.
    """
    refresh(table=table)
