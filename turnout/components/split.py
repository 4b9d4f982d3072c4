"""Split a dataset into what a model learns from and what it is judged by."""

from typing import Annotated

from annotated_types import Ge, Gt, Lt

from turnout import Dataset, Input, Output, component


@component
def split(
    data: Input[Dataset],
    train: Output[Dataset],
    test: Output[Dataset],
    timestamp: str = "",
    test_fraction: Annotated[float, Gt(0), Lt(1)] = 0.2,
    gap_hours: Annotated[float, Ge(0)] = 0.0,
    seed: int = 0,
) -> None:
    """Keep the last part of the time for testing, so that nothing of the future leaks into training.

    Args:
        data: the table to split.
        train: the rows before the boundary, less the gap.
        test: the rows from the boundary on: at least `test_fraction` of them, whole moments only.
        timestamp: column with each row's time; empty for a table without time, which is split at random.
        test_fraction: share of the rows to test on.
        gap_hours: hours before the boundary that are left out of training, for labels known only later.
        seed: of the random split.
    """
    from typing import Any

    import pandas as pd

    from turnout import ComponentError
    from turnout.data.tables import lineage, require, write_table

    table = pd.read_parquet(data.path)
    if timestamp:
        require(table, [timestamp], "data")
        if not pd.api.types.is_datetime64_any_dtype(table[timestamp]) or table[timestamp].isna().any():
            raise ComponentError(f"column '{timestamp}' is not a time in every row", where="data",
                                 hint="name it in ingest's timestamps")  # fmt: skip
        boundary: Any = table[timestamp].quantile(1 - test_fraction, interpolation="lower")  # a time, as the column is
        later = table[timestamp] >= boundary
        before = table[timestamp] < boundary - pd.Timedelta(hours=gap_hours)
        rule: dict[str, Any] = {"boundary": boundary.isoformat()}
    else:
        chosen = table.sample(frac=test_fraction, random_state=seed).index
        later = pd.Series(table.index.isin(chosen), index=table.index)
        before = ~later
        rule = {"seed": seed}
    for artifact, rows in ((train, before), (test, later)):
        if not rows.any():
            raise ComponentError(
                f"nothing is left to {artifact.name}", where="data", hint="change test_fraction or the gap"
            )
        artifact.metadata.update(lineage(data.metadata) | write_table(table[rows], artifact.path) | rule)
    print(f"{before.sum():,} rows to train, {later.sum():,} to test ({rule})")
