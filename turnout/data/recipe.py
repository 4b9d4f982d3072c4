"""How a table was made: the component, its parameters, what it read, and how its inputs were made in turn.

Each component of the catalogue that makes a table leaves this in the metadata of the table, as `made_by`; `train` keeps
it with the model's run, so that a training can be repeated. A component of your own does the same:

    data.metadata["made_by"] = made_by("my.code:clean", {"limit": limit}, output="data", inputs={"rows": rows.metadata})
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MADE_BY = "made_by"
"""The key in an artifact's metadata."""


def made_by(
    component: str,
    given: Mapping[str, Any],
    *,
    output: str = "",
    inputs: Mapping[str, Mapping[str, Any]] = {},
    read: Mapping[str, Mapping[str, str]] = {},
) -> dict[str, Any]:
    """What an output's metadata says of how it was made.

    Args:
        component: `module:function`.
        given: what the function was given: parameters by name; artifacts among them are left out.
        output: name of the output.
        inputs: the metadata of the input artifacts by name.
        read: for parameters that name data: `digest` of its content, and `revision` when it was taken from one.
    """
    parameters = {name: value for name, value in given.items() if value is not None and not hasattr(value, "metadata")}
    return {
        "component": component,
        "output": output,
        "parameters": parameters,
        "inputs": {name: metadata.get(MADE_BY) for name, metadata in inputs.items()},
        **({"read": {name: dict(facts) for name, facts in read.items()}} if read else {}),
    }
