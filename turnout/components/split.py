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
    keys: list[str] = [],
    target: str = "",
    drop_null_target: bool = False,
    seed: int = 0,
) -> None:
    """Keep the last part of the time for testing, so that nothing of the future leaks into training.

    A table without time is split by a hash of each row's keys: a row stays on its side whatever other rows come and
    go, and rows with the same keys are on one side. So a later training tests by no row that an earlier one learned,
    as long as keys, seed and fraction are the same. The rule is in the metadata of both tables.

    Args:
        data: the table to split.
        train: the rows before the boundary, less the gap.
        test: the rows from the boundary on: at least `test_fraction` of them, whole moments only.
        timestamp: column with each row's time; empty for a table without time, which is split by its keys.
        test_fraction: share of the rows to test on; by keys, about that share.
        gap_hours: hours before the boundary that are left out of training, for labels known only later.
        keys: columns that tell rows apart, together with the time; all columns when empty, but for features that
            `featurise` joined, so that a row with a corrected value is another row.
        target: column to predict, for rows that have none; empty to leave them to `train` and `evaluate`.
        drop_null_target: leave out rows whose target is null before the split, and say how many; else they are refused.
        seed: of the split by keys.
    """
    given = dict(locals())
    from typing import Any

    import numpy as np
    import pandas as pd

    from turnout import ComponentError
    from turnout.data.recipe import MADE_BY, made_by
    from turnout.data.rows import SCHEME, identify, in_test
    from turnout.data.tables import lineage, require, write_table
    from turnout.data.times import series_in_utc
    from turnout.models.target import rows_with_target

    table = pd.read_parquet(data.path)
    if target:
        table = rows_with_target(table, target, drop_null_target)
    require(table, [timestamp] if timestamp else [], "data")
    require(table, keys, "keys")
    joined = data.metadata.get("features", [])
    named = dict.fromkeys([*keys, *([timestamp] if timestamp else [])])
    columns = list(named) if keys else [str(name) for name in table if name not in joined]
    if timestamp:
        if not pd.api.types.is_datetime64_any_dtype(table[timestamp]) or table[timestamp].isna().any():
            raise ComponentError(f"column '{timestamp}' is not a time in every row", where="data",
                                 hint="name it in ingest's timestamps")  # fmt: skip
        boundary: Any = table[timestamp].quantile(1 - test_fraction, interpolation="lower")  # a time, as the column is
        later = (table[timestamp] >= boundary).to_numpy()
        before = (table[timestamp] < boundary - pd.Timedelta(hours=gap_hours)).to_numpy()
        rule: dict[str, Any] = {"by": "time", "boundary": boundary.isoformat(), "gap_hours": gap_hours}
        hint = "change test_fraction or the gap"
    else:
        unknown = int(table[keys].isna().all(axis=1).sum()) if keys else 0
        if unknown:
            what = f"{', '.join(keys)} null in {unknown:,} rows, which nothing then tells apart"
            raise ComponentError(what, where="keys", hint="leave these rows out at the source, or name further keys")
        digests = identify(table, columns).digests
        later = in_test(digests, test_fraction, seed)
        before = ~later
        rule = {"by": "keys" if keys else "row", "seed": seed, "hash": SCHEME}
        hint = f"change test_fraction or the seed, or give keys that differ; {len(np.unique(digests)):,} different rows"
    rule["test_fraction"] = test_fraction
    for artifact, rows in ((train, before), (test, later)):
        if not rows.any():
            raise ComponentError(f"nothing is left to {artifact.name}", where="data", hint=hint)
        artifact.metadata.update(lineage(data.metadata) | write_table(table[rows], artifact.path))
        artifact.metadata.update(split=rule, row_columns=columns)
        if timestamp:
            times = series_in_utc(table[timestamp][rows])
            artifact.metadata["times"] = {"first": times.min().isoformat(), "last": times.max().isoformat()}
        output, inputs = "train" if artifact is train else "test", {"data": data.metadata}
        artifact.metadata[MADE_BY] = made_by("turnout.components.split:split", given, output=output, inputs=inputs)
    print(f"{before.sum():,} rows to train, {later.sum():,} to test ({rule})")
