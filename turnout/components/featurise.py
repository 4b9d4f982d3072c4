"""Join features to a dataset, as they were known at each row's time."""

from pathlib import Path
from typing import Annotated, Literal

from annotated_types import Ge

from turnout import Asset, Dataset, Input, Output, component
from turnout.data import outside


@component(outside=outside.feature_sources, reads=[Asset("{sources}")])
def featurise(
    entities: Input[Dataset],
    features: Output[Dataset],
    feature_service: str = "",
    repository: str = "feature_repo",
    sources: str = "",
    revision: str = "",
    offline_store: Literal["repository", "spark"] = "repository",
    compare_rows: Annotated[int, Ge(0)] = 1000,
    master: str = "",
    spark_conf: dict[str, str] = {},
) -> None:
    """Add the features of a Feast feature service to each row, as they were at its `event_timestamp`.

    Args:
        entities: one row for each case, with the entities' join keys and `event_timestamp`.
        features: the same rows with the features as further columns; in the same order, unless Spark joined them.
        feature_service: name of the feature service; empty to leave the table as it is.
        repository: path of the Feast repository with the feature definitions.
        sources: path, URI or (with a revision) DVC path of the features' source tables; the definitions
            find it in TURNOUT_FEATURE_SOURCES. Empty when they need none.
        revision: a git revision of the DVC repository to take the sources from; empty for as they are now.
        offline_store: who joins: the repository's own store, in this process; or Feast's Spark store, with which
            nothing must fit on one machine.
        compare_rows: how many rows that Spark joined to hold against the repository's own store, by which models are
            trained; the step fails if a feature differs.
        master: Spark's master URL; $SPARK_MASTER, or this machine, when empty.
        spark_conf: further settings of the Spark session.
    """
    given = dict(locals())
    import os
    import tempfile

    import pandas as pd
    import pyarrow.dataset as ds

    from turnout.data.digest import content_digest
    from turnout.data.fetching import fetch
    from turnout.data.recipe import MADE_BY, made_by
    from turnout.data.tables import lineage, write_table

    features.metadata.update(lineage(entities.metadata))
    target, inputs = "turnout.components.featurise:featurise", {"entities": entities.metadata}
    features.metadata[MADE_BY] = made_by(target, given, output="features", inputs=inputs)
    rows = ds.dataset(entities.path, format="parquet").count_rows()
    if not feature_service or not rows:
        features.metadata.update(write_table(pd.read_parquet(entities.path), features.path))
        why = "there are no rows" if feature_service else "no feature service was given"
        print(f"{why}: the table is passed on as it is")
        return
    from turnout.features.feast import historical_features, repository_digest

    place = Path(repository)
    with tempfile.TemporaryDirectory() as directory:
        digests = [repository_digest(place)]
        if sources:
            fetched = fetch(sources, revision, Path(directory))
            os.environ["TURNOUT_FEATURE_SOURCES"] = str(fetched.path.absolute())
            digests.append(content_digest(fetched.path))
            read = {"sources": {"digest": digests[-1], "revision": fetched.revision}}
            features.metadata[MADE_BY] = made_by(target, given, output="features", inputs=inputs, read=read)
        before = ds.dataset(entities.path, format="parquet").schema.names
        if offline_store == "spark":
            rows, names = _on_spark(entities.path, features.path, place, feature_service, master, spark_conf)
            features.metadata.update(format="parquet", rows=rows)
        else:
            joined = historical_features(pd.read_parquet(entities.path), place, feature_service)
            rows, names = len(joined), [str(name) for name in joined]
            features.metadata.update(write_table(joined, features.path))
        added = [name for name in names if name not in before]
        print(f"{len(added)} features of {feature_service} for {rows:,} rows: {', '.join(added)}")
        if offline_store == "spark" and compare_rows:
            from turnout.features.feast_spark import check_skew

            compared = check_skew(features.path, added, place, feature_service, compare_rows)
            print(f"{compared:,} rows have the same features in the repository's own offline store")
    features.metadata.update(feature_service=feature_service, features_digest=" ".join(digests), features=added)


def _on_spark(
    entities: str, target: str, repository: Path, service: str, master: str, settings: dict[str, str]
) -> tuple[int, list[str]]:
    """Join on Spark; the rows that were written, and their columns."""
    import pyarrow.dataset as ds

    from turnout.engines.spark_session import session
    from turnout.features.feast_spark import historical_features_on_spark

    with session(master, settings) as spark:
        rows = historical_features_on_spark(spark, entities, target, repository, service)
    return rows, ds.dataset(target, format="parquet").schema.names
