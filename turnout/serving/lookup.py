"""Requests completed by features from an online store: they give an entity's keys in the place of its features."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from turnout.errors import ComponentError
from turnout.features.online import OnlineFeatures
from turnout.models.signature import Column
from turnout.serving.inputs import Inputs
from turnout.serving.line import TimedOut
from turnout.serving.model import ModelError
from turnout.serving.protocols.protocol import Asked


class Lookup:
    """Completes what requests give.

    Args:
        features: of the service.
        inputs: what the model takes.
        time_out_s: for the features of a request.

    Attributes:
        asked: what requests give: the model's columns that are no features, and the keys.

    Raises:
        ComponentError: the model takes none of the features.
    """

    def __init__(self, features: OnlineFeatures, inputs: Inputs, time_out_s: float):
        if not set(features.names) & set(inputs.names):
            hint = "name the service that it was trained with"
            raise ComponentError("the model takes none of the service's features", where="feature_service",
                                 available=features.names, hint=hint)  # fmt: skip
        own = [column for column in inputs.columns if column.name not in features.names]
        keys = [Column(name, kind) for name, kind in features.keys.items() if name not in {item.name for item in own}]
        self.asked = Inputs([*own, *keys])
        self._features, self._inputs, self._time_out = features, inputs, time_out_s
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="features")

    async def complete(self, asked: Asked) -> Asked:
        """What is asked, with the features.

        Raises:
            ModelError: they cannot be had.
            TimedOut: they have not come in time.
        """
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._time_out):
                return await loop.run_in_executor(self._pool, self._complete, asked)
        except TimeoutError:
            raise TimedOut(f"the features have not come within {self._time_out:g} s") from None
        except ComponentError as error:
            raise ModelError(str(error).partition("\n")[0]) from error

    def _complete(self, asked: Asked) -> Asked:
        if asked.values is not None:
            given = dict(zip(self.asked.names, asked.values, strict=True))
            found = self._features({name: [given[name]] for name in self._features.keys})
            return Asked(values=self._inputs.row(given | {name: values[0] for name, values in found.items()}),
                         context=asked.context)  # fmt: skip
        batch = asked.batch
        assert batch is not None
        keys = {name: batch[name].to_pylist() for name in self._features.keys}
        table = {name: batch[name] for name in self.asked.names} | self._features(keys)
        return Asked(batch=self._inputs.table(table, batch.num_rows), context=asked.context)


def open_lookup(repository: str, service: str, inputs: Inputs, time_out_s: float) -> Lookup:
    """The lookup of a service of a Feast repository, warm; raises ComponentError."""
    features = OnlineFeatures(Path(repository), service)
    features({name: ["" if kind == "string" else 0] for name, kind in features.keys.items()})
    return Lookup(features, inputs, time_out_s)
