"""Historical features through Feast's Spark offline store, for tables that fit on no machine.

Source: Feast's point-in-time join in Spark SQL; the repository's files are read by Spark in the place of its own store.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds

from turnout.engines.spark_session import reason
from turnout.errors import ComponentError
from turnout.features.feast import TIMESTAMP, historical_features, opened


def historical_features_on_spark(session: Any, entities: str, target: str, repository: Path, service_name: str) -> int:
    """Write the rows of a table with the features of a service, each as known at the row's `event_timestamp`.

    Args:
        session: of Spark.
        entities: path of Parquet with columns for the join keys, and `event_timestamp`.
        target: directory that Spark makes, for Parquet: the same rows, in any order.

    Returns:
        The number of rows.

    Raises:
        ComponentError: no such repository or service, a feature view that Spark cannot read, or Spark fails.
    """
    session.conf.set("spark.sql.session.timeZone", "UTC")
    session.conf.set("spark.sql.legacy.parquet.nanosAsLong", "true")
    session.conf.set("spark.sql.parquet.outputTimestampType", "TIMESTAMP_MICROS")
    try:
        with opened(repository, service_name, {"offline_store": {"type": "spark"}}, _for_spark) as (store, service):
            rows = session.sql(_query(entities))
            joined = store.get_historical_features(entity_df=rows, features=service).to_spark_df()
            joined.write.parquet(target)
    except ComponentError:
        raise
    except Exception as error:  # Spark's, Java's and Feast's own
        hint = "can the workers read the features' sources? offline_store=repository joins without Spark"
        what = f"features cannot be joined on Spark: {reason(error)}"
        raise ComponentError(what, where=service_name, hint=hint) from error
    before, after = (int(ds.dataset(path, format="parquet").count_rows()) for path in (entities, target))
    if before != after:
        hint = "does a source have several rows of one entity and time? Give it a created_timestamp_column"
        what = f"{before:,} rows went into the join of features, and {after:,} came out"
        raise ComponentError(what, where=target, hint=hint)
    return after


def _for_spark(view: Any) -> Any:
    """A feature view whose files are read by Spark."""
    from feast import FileSource
    from feast.infra.offline_stores.contrib.spark_offline_store.spark_source import SparkSource

    source = view.batch_source
    if isinstance(source, SparkSource):
        return view
    if not isinstance(source, FileSource):
        what = f"the source of feature view '{view.name}' is {type(source).__name__}, which Spark cannot read"
        hint = "join with offline_store=repository, or define the view on one of these"
        raise ComponentError(what, where=view.name, available=["FileSource", "SparkSource"], hint=hint)
    changed = copy.copy(view)
    changed.batch_source = SparkSource(
        name=source.name,
        query=_query(source.path),
        timestamp_field=source.timestamp_field,
        created_timestamp_column=source.created_timestamp_column,
        field_mapping=dict(source.field_mapping),
    )
    return changed


def _query(path: str) -> str:
    """Spark SQL for Parquet, of which Spark itself cannot read times in nanoseconds."""
    table = f"parquet.`{path}`"
    kinds = {field.name: field.type for field in ds.dataset(path, format="parquet").schema}
    fine = [name for name, kind in kinds.items() if pa.types.is_timestamp(kind) and kind.unit == "ns"]
    if not fine:
        return f"SELECT * FROM {table}"
    times = ", ".join(f"timestamp_micros(`{name}` div 1000) AS `{name}`" for name in fine)
    return f"SELECT * EXCEPT ({', '.join(f'`{name}`' for name in fine)}), {times} FROM {table}"


def check_skew(features: str, added: list[str], repository: Path, service_name: str, rows: int) -> int:
    """Hold features that Spark joined against those of the repository's own offline store, with which models train.

    Args:
        features: path of Parquet, as `historical_features_on_spark` writes it.
        added: the names of the features.
        rows: how many to compare, drawn evenly from the files.

    Returns:
        How many rows were compared.

    Raises:
        ComponentError: a feature differs for some row.
    """
    dataset = ds.dataset(features, format="parquet")
    total = dataset.count_rows()
    chosen = np.unique(np.linspace(0, total - 1, min(rows, total)).astype(int))
    found = dataset.take(pa.array(chosen)).to_pandas()
    expected = historical_features(found.drop(columns=added), repository, service_name)
    faults = []
    for name in added:
        different = ~_same(found[name], expected[name])
        if different.any():
            index = int(np.flatnonzero(different)[0])
            faults.append(
                f"{name}: {different.sum():,} rows differ, the first at {found[TIMESTAMP].iloc[index]}:"
                f" {found[name].iloc[index]} on Spark, {expected[name].iloc[index]} in the repository's store"
            )
    if faults:
        hint = "a model sees other features than it was trained with; compare the two stores' sources"
        what = f"features differ between the offline stores, in {len(found):,} rows that were compared"
        raise ComponentError("\n".join([what, *faults]), where=service_name, hint=hint)
    return len(found)


def _same(one: pd.Series, other: pd.Series) -> np.ndarray[Any, Any]:
    if pd.api.types.is_numeric_dtype(one) and pd.api.types.is_numeric_dtype(other):
        return np.isclose(one.astype(float), other.astype(float), rtol=1e-9, atol=0, equal_nan=True)
    return ((one == other) | (one.isna() & other.isna())).to_numpy()
