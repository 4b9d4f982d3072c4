"""Which asset a step reads or publishes; a name may hold the step's inputs, such as `models:/{registered_model}`."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from turnout.errors import Fault, did_you_mean
from turnout.spec.airflow_facts import Asset, StepFacts

DECLARED: dict[str, StepFacts] = {}
"""What the components that this process has made read and publish, by the target of their commands."""

_FIELD = re.compile(r"\{([A-Za-z_]\w*)\}", re.ASCII)


def fields(asset: Asset) -> set[str]:
    """The names in braces."""
    return {*_FIELD.findall(asset.name), *_FIELD.findall(asset.uri)}


def field_faults(assets: Iterable[Asset], inputs: Iterable[str], where: str) -> Iterator[Fault]:
    """Names in braces that are no inputs of the step."""
    known = tuple(inputs)
    for asset in assets:
        for name in sorted(fields(asset) - {*known}):
            yield Fault(f"no input '{name}' for the asset '{asset.name}'", where, known, did_you_mean(name, known))


def named(asset: Asset, inputs: Mapping[str, Any]) -> Asset | None:
    """An asset with the values of inputs in the place of their names; None where one is empty or not known.

    Args:
        inputs: the step's parameters by name; None for a value that is not known. Other braces stay as they are.
    """
    used = fields(asset) & inputs.keys()
    if any(inputs[name] in (None, "") for name in used):
        return None

    def filled(text: str) -> str:
        return _FIELD.sub(lambda found: str(inputs[found[1]]) if found[1] in used else found[0], text)

    return dataclasses.replace(asset, name=_without_login(filled(asset.name)), uri=_without_login(filled(asset.uri)))


def _without_login(text: str) -> str:
    """A URI without user and password, which are nobody's business who looks at assets."""
    login, separator, host = urlsplit(text).netloc.rpartition("@") if "://" in text else ("", "", "")
    return text.replace(f"{login}@{host}", host, 1) if separator else text
