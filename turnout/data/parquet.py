"""Tables of Parquet where they are: opened as datasets, and cut into pieces that workers take."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.fs
from upath import UPath

from turnout.errors import ComponentError
from turnout.extras import hint_for

_INDEX = re.compile(r"__index_level_\d+__")


@dataclass(frozen=True)
class Piece:
    """Row groups of a Parquet file: what one worker takes at a time."""

    uri: str
    row_groups: tuple[int, ...]


def open_table(uri: str) -> tuple[ds.Dataset, str]:
    """A Parquet file, or a directory of them, as a dataset, and what stands before its files' paths in a URI.

    A directory's files need not have the same columns: it has those of all, null where a file lacks one, each of the
    narrowest type that holds all files' values. Directories called NAME=VALUE are columns, as Hive and Spark write.
    The index of pandas is a column where it has a name, and is left out where it has none.

    Raises:
        ComponentError: there is none, or two files have a column of types that no type holds.
    """
    hint = "give the path or URI of a Parquet file, or of a directory of them"
    try:
        path = UPath(uri)
        local = path.protocol in ("", "file", "local")
        prefix = "" if local else f"{path.protocol}://"
        how: dict[str, Any] = {"format": "parquet", "partitioning": "hive", "filesystem": None if local else path.fs}
        if local:  # other files are told, and not passed over
            how["exclude_invalid_files"] = False
        dataset = ds.dataset(path.path, **how)
        if not dataset.files:
            raise ComponentError("no Parquet files in the directory", where=uri, hint=hint)
        schema = _all_columns(dataset, uri) if len(dataset.files) > 1 else dataset.schema
        schema = pa.schema(field for field in schema if not _INDEX.fullmatch(field.name))
        return (dataset if schema.equals(dataset.schema, True) else ds.dataset(path.path, schema=schema, **how)), prefix
    except (OSError, ValueError, pa.ArrowException, ImportError) as error:
        what = f"the data cannot be read as Parquet: {error}"
        if "duplicate field names" in str(error):
            what, hint = "several columns are of one name", "give each column a name of its own"
        raise ComponentError(what, where=uri, hint=hint_for(error) or hint) from error


def _all_columns(dataset: ds.FileSystemDataset, uri: str) -> pa.Schema:
    """The columns of all files of a dataset; Arrow's own has those of the first alone."""
    schema = pa.schema(map(_decoded, dataset.schema))
    for fragment in dataset.get_fragments():
        found = pa.schema(map(_decoded, fragment.physical_schema))
        try:
            schema = pa.unify_schemas([schema, found], promote_options="permissive")
        except pa.ArrowTypeError as error:
            shared = [field for field in found if field.name in schema.names]
            apart = next(field.name for field in shared if not _unify(field, schema.field(field.name)))
            kinds = f"{found.field(apart).type} in {fragment.path}, and {schema.field(apart).type} in those before"
            hint = "write the files again with one type for the column"
            raise ComponentError(f"column '{apart}' is {kinds}", where=uri, hint=hint) from error
    return schema


def _decoded(field: pa.Field) -> pa.Field:
    """A column as its values are, where a file keeps them as a dictionary, which others need not have."""
    return field.with_type(field.type.value_type) if pa.types.is_dictionary(field.type) else field


def _unify(one: pa.Field, other: pa.Field) -> bool:
    try:
        pa.unify_schemas([pa.schema([one]), pa.schema([other])], promote_options="permissive")
    except pa.ArrowTypeError:
        return False
    return True


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
