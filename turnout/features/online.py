"""Features as they are now, from a Feast repository's online store."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from turnout.errors import ComponentError, did_you_mean
from turnout.features.loading import load_feast

_KINDS = {"STRING": "string", "INT32": "integer", "INT64": "long", "FLOAT": "float", "DOUBLE": "double",
          "BOOL": "boolean"}  # fmt: skip


class OnlineFeatures:
    """The features of a service, by the keys of its entities.

    They are those that training's join gives for a row of this moment: null for an unknown key, and for a value that is
    older than the feature view's `ttl`, which Feast's online stores give none the less.

    Args:
        repository: where `feast apply` and `feast materialize` were run.
        service_name: a feature service of it.

    Attributes:
        keys: columns of the entities, and the names of their types in a model's signature.
        names: of the features.

    Raises:
        ComponentError: no such repository or service, or one that needs more than keys.
    """

    def __init__(self, repository: Path, service_name: str):
        if not (repository / "feature_store.yaml").is_file():
            raise ComponentError("no Feast repository here", where=str(repository), hint="it has a feature_store.yaml")
        load_feast()
        from feast import FeatureStore
        from feast.errors import FeastObjectNotFoundException

        self._store = FeatureStore(repo_path=str(repository.absolute()))
        try:
            self._service = self._store.get_feature_service(service_name)
        except (FeastObjectNotFoundException, OSError) as error:
            known = [service.name for service in self._store.list_feature_services()]
            hint = did_you_mean(service_name, known) or "run `feast apply` and `feast materialize` in the repository"
            raise ComponentError(f"no feature service '{service_name}'", where=str(repository), available=known,
                                 hint=hint) from error  # fmt: skip
        self.keys: dict[str, str] = {}
        self._ttl: dict[str, float] = {}
        self._keys_of: dict[str, list[str]] = {}
        on_demand = {view.name for view in self._store.list_on_demand_feature_views()}
        for projection in self._service.feature_view_projections:
            if projection.name in on_demand:
                hint = "compute it in the model, or leave it out of the service"
                raise ComponentError(f"the feature view '{projection.name}' is computed from requests",
                                     where=f"{repository}.{service_name}", hint=hint)  # fmt: skip
            view = self._store.get_feature_view(projection.name)
            own = []
            for column in view.entity_columns:
                kind = column.dtype.to_value_type().name
                if kind not in _KINDS:
                    raise ComponentError(f"the key '{column.name}' is {kind}", where=service_name,
                                         available=_KINDS, hint="give the entity one of these types")  # fmt: skip
                own.append(projection.join_key_map.get(column.name, column.name))
                self.keys[own[-1]] = _KINDS[kind]
            seconds = view.ttl.total_seconds() if view.ttl else 0.0
            self._ttl |= {feature.name: seconds for feature in projection.features}
            self._keys_of |= {feature.name: own for feature in projection.features}
        self.names = tuple(self._ttl)

    def __call__(self, keys: Mapping[str, Sequence[Any]]) -> dict[str, list[Any]]:
        """The features of some rows, by name, in the rows' order; null where nothing is known.

        Args:
            keys: each column's values. Where one is null, the features of its entity are.

        Raises:
            ComponentError: the online store cannot be asked.
        """
        names = list(keys)
        blank = {name: "" if kind == "string" else 0 for name, kind in self.keys.items()}  # Feast takes no null
        rows = [
            {name: blank[name] if value is None else value for name, value in zip(names, row, strict=True)}
            for row in zip(*keys.values(), strict=True)
        ]
        try:
            answer = self._store.get_online_features(features=self._service, entity_rows=rows).to_dict(
                include_event_timestamps=True
            )
        except Exception as error:  # each online store has its own
            hint = "is the online store reachable, and are its feature views materialised?"
            raise ComponentError(f"the features cannot be looked up: {error}", where=str(self._store.repo_path),
                                 hint=hint) from error  # fmt: skip
        now = time.time()
        found: dict[str, list[Any]] = {}
        for name, seconds in self._ttl.items():
            known = [
                value if not seconds or known_at >= now - seconds else None
                for value, known_at in zip(answer[name], answer[f"{name}__ts"], strict=True)
            ]
            for key in self._keys_of[name]:
                known = [None if given is None else value for value, given in zip(known, keys[key], strict=True)]
            found[name] = known
        return found
