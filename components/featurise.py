"""Join features to a dataset, as they were known at each row's time."""

from turnout import Dataset, Input, Output, component, outside


@component(outside=outside.feature_sources)
def featurise(
    entities: Input[Dataset],
    features: Output[Dataset],
    feature_service: str = "",
    repository: str = "feature_repo",
    sources: str = "",
    revision: str = "",
):
    """Add the features of a Feast feature service to each row, as they were at its `event_timestamp`.

    Args:
        entities: one row for each case, with the entities' join keys and `event_timestamp`.
        features: the same rows in the same order, with the features as further columns.
        feature_service: name of the feature service; empty to leave the table as it is.
        repository: path of the Feast repository with the feature definitions.
        sources: path, URI or (with a revision) DVC path of the features' source tables; the definitions
            find it in TURNOUT_FEATURE_SOURCES. Empty when they need none.
        revision: a git revision of the DVC repository to take the sources from; empty for as they are now.
    """
    import os
    import tempfile
    from pathlib import Path

    import pandas as pd

    from turnout.content import content_digest
    from turnout.tables import fetch, lineage, write_table

    table = pd.read_parquet(entities.path)
    features.metadata.update(lineage(entities.metadata))
    if not feature_service:
        features.metadata.update(write_table(table, features.path))
        print("no feature service was given: the table is passed on as it is")
        return
    from turnout.feature_store import historical_features, repository_digest

    with tempfile.TemporaryDirectory() as directory:
        digests = [repository_digest(Path(repository))]
        if sources:
            fetched = fetch(sources, revision, Path(directory))
            os.environ["TURNOUT_FEATURE_SOURCES"] = str(fetched.path.absolute())
            digests.append(content_digest(fetched.path))
        joined = historical_features(table, Path(repository), feature_service)
    features.metadata.update(write_table(joined, features.path))
    features.metadata.update(feature_service=feature_service, features_digest=" ".join(digests))
    added = [column for column in joined if column not in table]
    print(f"{len(added)} features of {feature_service} for {len(joined):,} rows: {', '.join(added)}")
