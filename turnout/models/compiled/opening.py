"""A model's files opened for predictions: its compiled form where there is a proved one, else the model itself."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pyarrow as pa

from turnout.extras import hint_for
from turnout.models.compiled.answering import MODEL, Answering, compiled
from turnout.models.compiled.form import DIRECTORY, PROOF, VERSION, WHY, digests, read_form, read_proof

if TYPE_CHECKING:
    from turnout.models.signature import Column


class AnyScorer(Protocol):
    """What a `Scorer` and a `CompiledScorer` have in common."""

    columns: tuple[Column, ...]
    classes: tuple[Any, ...]

    @property
    def names(self) -> list[str]: ...

    def __call__(self, batch: pa.RecordBatch) -> dict[str, pa.Array]: ...

    def row(self, values: Sequence[Any]) -> dict[str, Any]: ...


def open_scorer(directory: str | Path) -> AnyScorer:
    """The fastest form of a model that says what the model says.

    With a compiled form, neither scikit-learn nor a pickle is loaded. Where there is one that cannot be used, a line
    says why, and the model itself is loaded.

    Args:
        directory: the model's files, as `turnout.models.compiled.keeping.fetch` brings them.

    Raises:
        ComponentError: there is no compiled form, and the model cannot be loaded.
    """
    return open_form(directory)[0]


def open_form(directory: str | Path) -> tuple[AnyScorer, Answering]:
    """As `open_scorer`, and which form it is, and why."""
    place, told = Path(directory, DIRECTORY), Path(directory, WHY)
    why = told.read_text(encoding="utf-8") if told.is_file() else ""
    if (place / PROOF).is_file():
        found, fault = _compiled(place)
        if found is not None:
            proof = read_proof(place)
            precision = proof.reduced.precision if proof.reduced else "exact"
            return found, compiled(precision, why or proof.sentence())
        why = f"its compiled form cannot be used: {fault}"
        print(f"the model itself answers, and not its compiled form: {fault}", flush=True)
    from turnout.models.scorer import Scorer

    return Scorer(directory), Answering(MODEL, why)


def _compiled(place: Path) -> tuple[AnyScorer | None, str]:
    """The compiled form, or None and why not."""
    try:
        if read_proof(place).digests != digests(place):
            return None, "its files are not those that were proved"
        if (version := read_form(place).version) != VERSION:
            return None, f"it is of version {version}, and this Turnout reads {VERSION}"
        from turnout.models.compiled.scorer import CompiledScorer

        return CompiledScorer(place), ""
    except ImportError as error:
        return None, f"{error.name} is not installed: {hint_for(error)}"
    except Exception as error:  # onnxruntime and cattrs have their own
        return None, f"it cannot be opened: {str(error).strip().partition(chr(10))[0]}"
