"""Fail where there are no rows."""

from turnout import Dataset, Input, component


@component
def require_rows(data: Input[Dataset]) -> None:
    """Fail when a dataset has no rows, and say until when its source has some.

    Args:
        data: a dataset whose metadata says how many rows it has, as that of `ingest` does.
    """
    from turnout import ComponentError
    from turnout.data.tables import no_rows

    if not data.metadata["rows"]:
        what, hint = no_rows(data.metadata)
        raise ComponentError(what, where=data.metadata.get("source", ""), hint=hint)
    print(f"{data.metadata['rows']:,.0f} rows")
