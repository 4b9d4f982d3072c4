"""Tables of Parquet where they are: opened as datasets, and cut into pieces that workers take."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.fs
from upath import UPath

from turnout.errors import ComponentError


@dataclass(frozen=True)
class Piece:
    """Row groups of a Parquet file: what one worker takes at a time."""

    uri: str
    row_groups: tuple[int, ...]


def open_table(uri: str) -> tuple[ds.Dataset, str]:
    """A Parquet file, or a directory of them, as a dataset, and what stands before its files' paths in a URI.

    Raises:
        ComponentError: there is none.
    """
    try:
        path = UPath(uri)
        if path.protocol in ("", "file", "local"):
            return ds.dataset(path.path, format="parquet", partitioning="hive", exclude_invalid_files=False), ""
        return ds.dataset(path.path, format="parquet", filesystem=path.fs, partitioning="hive"), f"{path.protocol}://"
    except (OSError, ValueError, pa.ArrowException, ImportError) as error:
        hint = "give the path or URI of a Parquet file, or of a directory of them"
        raise ComponentError(f"the data cannot be read as Parquet: {error}", where=uri, hint=hint) from error


def pieces(dataset: ds.Dataset, prefix: str, chosen: pc.Expression | None) -> list[Piece]:
    """The row groups in which there may be rows that are chosen, by the statistics in the files."""
    return [
        Piece(prefix + part.path, tuple(group.id for group in part.row_groups))
        for fragment in dataset.get_fragments(filter=chosen)
        for part in fragment.split_by_row_group(filter=chosen, schema=dataset.schema)
    ]


def open_piece(piece: Piece) -> ds.ParquetFileFragment:
    """A piece, to be read."""
    path = UPath(piece.uri)
    local = path.protocol in ("", "file", "local")
    files = pa.fs.LocalFileSystem() if local else pa.fs.PyFileSystem(pa.fs.FSSpecHandler(path.fs))
    return ds.ParquetFileFormat().make_fragment(path.path, files, row_groups=list(piece.row_groups))
