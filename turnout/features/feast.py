"""Historical features from a Feast repository, without a registry that outlives the call."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from turnout.data.progress import Progress
from turnout.data.tables import require
from turnout.errors import ComponentError, did_you_mean
from turnout.features.loading import load_feast

TIMESTAMP = "event_timestamp"
_PIECE = 20_000
"""Keys and times that are joined at once. Memory grows with them times the source's rows of a key."""


def repository_digest(repository: Path) -> str:
    """The digest of a Feast repository's definitions: its Python and YAML files."""
    hasher = hashlib.sha256()
    for file in sorted(item for item in repository.rglob("*") if item.suffix in (".py", ".yaml", ".yml")):
        hasher.update(f"{file.relative_to(repository).as_posix()}\0".encode() + file.read_bytes() + b"\0")
    return "sha256:" + hasher.hexdigest()


def historical_features(entities: pd.DataFrame, repository: Path, service_name: str) -> pd.DataFrame:
    """The rows of a table with the features of a service, each as known at the row's `event_timestamp`.

    Each feature view is joined for its own distinct keys and times only: Feast's file stores compare
    every row with every source row of the same key, and many rows share an airport and an hour.

    Args:
        entities: columns for the join keys, and `event_timestamp` in UTC.

    Returns:
        The same rows, in the same order, with a column for each feature; null where nothing was known.

    Raises:
        ComponentError: no such repository or service, or a join key is missing from the table.
    """
    require(entities, [TIMESTAMP], "entities")
    with opened(repository, service_name) as (store, service):
        if store.list_on_demand_feature_views():
            joined = store.get_historical_features(entity_df=entities, features=service).to_df()
            return entities.merge(joined, how="left")
        for projection in service.feature_view_projections:
            entities = _join(store, entities, projection)
    return entities


@contextlib.contextmanager
def opened(
    repository: Path,
    service_name: str,
    settings: Mapping[str, Any] = {},
    adapt: Callable[[Any], Any] = lambda view: view,
) -> Iterator[tuple[Any, Any]]:
    """A Feast store on a repository, and one of its services.

    Args:
        settings: take the place of those in `feature_store.yaml`.
        adapt: gives the feature view to use for one of the repository.

    Raises:
        ComponentError: no such repository or service.
    """
    load_feast()
    from feast import FeatureStore
    from feast.repo_config import RepoConfig
    from feast.repo_operations import parse_repo

    file = repository / "feature_store.yaml"
    if not file.is_file():
        raise ComponentError("no Feast repository here", where=str(repository), hint="it has a feature_store.yaml")
    with tempfile.TemporaryDirectory() as directory:
        own = {
            "registry": f"{directory}/registry.db",
            "online_store": {"type": "sqlite", "path": f"{directory}/online.db"},
        }
        config = RepoConfig(**{**yaml.safe_load(file.read_text()), **own, **settings})
        config.repo_path = repository.absolute()
        content = _parse(repository.absolute(), parse_repo)
        services = [service.name for service in content.feature_services]
        if service_name not in services:
            hint = did_you_mean(service_name, services)
            raise ComponentError(
                f"no feature service '{service_name}'", where=str(repository), available=services, hint=hint
            )
        store = FeatureStore(config=config)
        views = [adapt(view) for view in content.feature_views]
        store.apply([*content.entities, *views, *content.feature_services, *content.on_demand_feature_views])
        yield store, store.get_feature_service(service_name)


def _join(store: Any, entities: pd.DataFrame, projection: Any) -> pd.DataFrame:
    view = store.get_feature_view(projection.name)
    keys = [projection.join_key_map.get(key, key) for key in view.join_keys]
    require(entities, keys, f"entities, for the feature view {projection.name}")
    names = [feature.name for feature in projection.features]
    references = [f"{projection.name_to_use()}:{name}" for name in names]
    distinct = entities[[*keys, TIMESTAMP]].drop_duplicates().sort_values(TIMESTAMP, ignore_index=True)
    pieces = [distinct[start : start + _PIECE] for start in range(0, len(distinct), _PIECE)] or [distinct]
    progress, parts = Progress(f"joined {projection.name_to_use()}:", len(distinct), "keys and times"), []
    for piece in pieces:
        parts.append(store.get_historical_features(entity_df=piece, features=references).to_df())
        progress.add(len(piece))
    joined = pd.concat(parts, ignore_index=True)
    joined[TIMESTAMP] = joined[TIMESTAMP].astype(entities[TIMESTAMP].dtype)
    return entities.merge(joined[[*keys, TIMESTAMP, *names]], on=[*keys, TIMESTAMP], how="left", validate="many_to_one")


def _parse(repository: Path, parse_repo: Any) -> Any:
    """Feast imports definitions by their path from the working directory, so it is the repository's meanwhile.

    They are imported anew each time: they may read the environment, as the flights' do.
    """
    before, known = Path.cwd(), set(sys.modules)
    sys.path.insert(0, str(repository))
    os.chdir(repository)
    try:
        return parse_repo(repository)
    finally:
        os.chdir(before)
        sys.path.remove(str(repository))
        for name in set(sys.modules) - known:
            if str(getattr(sys.modules[name], "__file__", None) or "").startswith(f"{repository}{os.sep}"):
                del sys.modules[name]
