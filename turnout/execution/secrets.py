"""Secrets and config maps on this machine: a file that the user declares stands for the cluster's.

    secrets:
      warehouse: {user: reader, password: "..."}
    config_maps:
      limits: {rows: "1000"}

Source of the settings: kfp-kubernetes 2.17, `secretAsEnv` and `configMapAsEnv`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from turnout.errors import Fault, StepError, StoreError, did_you_mean

_Values = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True)
class Secrets:
    """Values by name and key. They are given to steps as variables and written nowhere."""

    secrets: _Values = field(default_factory=dict)
    config_maps: _Values = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> Secrets:
        """Read the declared values. Raises StoreError when the file cannot be read or is not as above."""
        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        except (OSError, yaml.YAMLError) as error:
            raise StoreError(f"the secrets cannot be read: {error}", where=str(path)) from error
        known = ("secrets", "config_maps")
        if not isinstance(content, dict) or not content.keys() <= set(known):
            raise StoreError("the file of secrets has other keys", where=str(path), available=known)
        for kind, values in content.items():
            for name, keys in (values or {}).items():
                if not isinstance(keys, dict) or not all(isinstance(value, str) for value in keys.values()):
                    raise StoreError("a secret's values must be text by key", where=f"{path}: {kind}.{name}")
        return cls(**{kind: values or {} for kind, values in content.items()})

    def environment(self, settings: Mapping[str, Any], step: str) -> dict[str, str]:
        """The variables that a step's settings ask for.

        Raises:
            StepError: all that is asked for, not optional, and not declared.
        """
        faults: list[Fault] = []
        variables = {
            **dict(_variables(settings.get("configMapAsEnv", ()), "configMap", self.config_maps, step, faults)),
            **dict(_variables(settings.get("secretAsEnv", ()), "secret", self.secrets, step, faults)),
        }
        if faults:
            raise StepError("\n".join(map(str, faults)))
        return variables


def _variables(entries: Any, kind: str, values: _Values, step: str, faults: list[Fault]) -> Iterator[tuple[str, str]]:
    for entry in entries:
        name = str(entry.get(f"{kind}NameParameter") or entry.get(f"{kind}Name") or "")
        for pair in entry.get("keyToEnv", ()):
            key = pair[f"{kind}Key"]
            if key in values.get(name, {}):
                yield pair["envVar"], values[name][key]
            elif not entry.get("optional"):
                known = tuple(f"{one}.{inner}" for one, keys in values.items() for inner in keys)
                noun = {"secret": "secret", "configMap": "config map"}[kind]
                what = f"the {noun} '{name}' with the key '{key}' is not declared"
                hint = did_you_mean(f"{name}.{key}", known) or "declare it in the file that --secrets names"
                faults.append(Fault(what, step, known, hint))
