"""Text tables: CSV and its relatives, as spreadsheets and databases of many countries write them.

All is read as text first. A column becomes numbers only if every value of it is one, so what a column is does not
depend on where a piece of the file begins. What was found, and not said by the user, is told in notes.
"""

from __future__ import annotations

import bz2
import codecs
import contextlib
import csv
import gzip
import io
import itertools
import lzma
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from turnout.errors import ComponentError

Decimal = Literal["auto", ".", ","]

_SEPARATORS = (",", ";", "\t", "|")
_NAMES = {"\t": "tab", "tab": "\t", "\\t": "\t"}
_SAMPLE_BYTES = 65_536
EXACT = 2**53
"""The largest whole number up to which a double tells each from its neighbours."""

_NULLS = ["", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A",
          "NA", "NULL", "NaN", "None", "n/a", "nan", "null"]  # fmt: skip
"""What stands for a missing value: pandas' list."""

_MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"BZh": "bz2", b"\xfd7zXZ\0": "xz", b"PK\x03\x04": "zip"}
_MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}

_PERHAPS = r"(?i)^\s*([+-]?[0-9.,]|[+-]?inf|true|false)"
_WHOLE, _LEADING_ZERO = r"^[+-]?[0-9]+$", r"^[+-]?0[0-9]+$"
_COMMA, _COMMAS = r"^[+-]?[0-9]*,[0-9]+$", r"^[+-]?([0-9]*,)?[0-9]+([eE][+-]?[0-9]+)?$"
_POINT = r"^[+-]?[0-9]*\.[0-9]+$"
_LIKE_NUMBERS = r"^[+-]?[0-9]+([.,' ][0-9]+)*$"
_DATED = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:|$)"


@dataclass(frozen=True)
class Dialect:
    """How a text table is written; what is empty, or `auto`, is found from its content.

    Attributes:
        separator: of values: one character, or `tab`.
        decimal: what stands before a number's fraction.
        encoding: Python's name of it, such as `latin-1`; by the file's mark, or UTF-8, when empty.
    """

    separator: str = ""
    decimal: Decimal = "auto"
    encoding: str = ""


AS_FOUND = Dialect()
"""All is found from the content."""


def compression(start: bytes) -> str:
    """How a file that starts with these bytes is compressed; empty for not at all."""
    return next((name for magic, name in _MAGIC.items() if start.startswith(magic)), "")


def marked(start: bytes) -> str:
    """The encoding that a file's byte-order mark tells; empty when it has none."""
    return next((name for mark, name in _MARKS.items() if start.startswith(mark)), "")


def open_bytes(path: Path) -> IO[bytes]:
    """A file's content, decompressed; by its first bytes, whatever its name.

    Raises:
        ComponentError: a zip archive has not exactly one file in it.
    """
    with path.open("rb") as file:
        how = compression(file.read(8))
    if how == "zip":
        archive = zipfile.ZipFile(path)
        names = [name for name in archive.namelist() if not name.endswith("/")]
        if "xl/workbook.xml" in names:
            raise ComponentError("an Excel workbook", where=path.name, hint="save the sheet as CSV or Parquet")
        if len(names) != 1:
            hint = "unpack it, and name the file"
            raise ComponentError(f"an archive of {len(names)} files", where=path.name, available=names[:10], hint=hint)
        return archive.open(names[0])
    if how == "zstd":
        return io.BufferedReader(pa.CompressedInputStream(pa.OSFile(str(path)), "zstd"))
    openers: dict[str, Any] = {"gzip": gzip.open, "bz2": bz2.open, "xz": lzma.open}
    opened: IO[bytes] = openers[how](path) if how else path.open("rb")
    return opened


def read_delimited(path: Path, dialect: Dialect = AS_FOUND) -> tuple[pa.Table, list[str]]:
    """A text table with a header, and notes: what was found, and what a reader should know.

    Numbers with leading zeros, and whole numbers beyond 2^53, stay texts: they are identifiers, and would lose digits.

    Raises:
        ComponentError: it is not in the encoding, has rows of other lengths than the header, or two columns of one
            name; each with its place.
    """
    notes: list[str] = []
    try:
        with open_bytes(path) as file:
            start = file.read(_SAMPLE_BYTES)
        if not start.strip(b"\xef\xbb\xbf \r\n\t"):
            hint = "was it written to the end? A table without rows has its header at least"
            raise ComponentError("the file is empty", where=path.name, hint=hint)
        encoding = _encoding(dialect.encoding) or marked(start) or "utf-8"
        if not dialect.encoding and encoding == "utf-16":
            notes.append("encoding utf-16, by the file's mark")
        lines = io.StringIO(_beginning(start, encoding), newline="")
        separator = _separator(dialect.separator)
        if not separator:
            separator = _found_separator(lines)
            if separator != ",":
                notes.append(f"values are separated by '{_NAMES.get(separator, separator)}'")
        texts = _read(path, encoding, separator)
    except (OSError, EOFError, zipfile.BadZipFile, lzma.LZMAError) as error:
        hint = "fetch or write the file again"
        raise ComponentError(f"not readable to its end: {error}", where=path.name, hint=hint) from error
    names = _column_names(texts, path, notes)
    decimal = dialect.decimal
    if decimal == "auto":
        decimal = _found_decimal(texts, separator)
        if decimal == ",":
            notes.append("numbers have decimal commas")
    columns = [_typed(name, column, decimal, notes) for name, column in zip(names, texts.columns, strict=True)]
    return pa.table(columns, names=names), notes


def _encoding(name: str) -> str:
    if name:
        try:
            codecs.lookup(name)
        except LookupError as error:
            hint = "such as utf-8, latin-1, cp1252 or utf-16"
            raise ComponentError(f"no encoding '{name}'", where="encoding", hint=hint) from error
    return "utf-8-sig" if name.lower().replace("_", "-") in ("utf-8", "utf8") else name


def _separator(name: str) -> str:
    separator = _NAMES.get(name, name)
    if len(separator) > 1 or separator in ('"', "\n", "\r") or (name and not separator.isascii()):
        hint = "give one character such as ; or the word tab; empty to find it from the file"
        raise ComponentError(f"'{name}' does not separate values", where="separator", hint=hint)
    return "\t" if name == "\t" else separator


def _beginning(start: bytes, encoding: str) -> str:
    """The first lines, without one that is cut off."""
    text = codecs.getincrementaldecoder(encoding)(errors="replace").decode(start).removeprefix("\ufeff")
    return text[: text.rfind("\n") + 1] if len(start) == _SAMPLE_BYTES and "\n" in text else text


def _found_separator(lines: io.StringIO) -> str:
    """The character that divides all of the first rows into as many values, two at least; else a comma."""
    counts = {}
    for separator in _SEPARATORS:
        lines.seek(0)
        rows = [len(row) for row in itertools.islice(csv.reader(lines, delimiter=separator), 1000) if row]
        counts[separator] = rows[:-1] if len(rows) > 2 else rows  # the last may be within quotes, and cut off
    even = {separator: rows[0] for separator, rows in counts.items() if rows and rows[0] > 1 and len(set(rows)) == 1}
    if not even:  # some row is of another length: that of the header decides, and the row is told
        even = {separator: rows[0] for separator, rows in counts.items() if rows}
    return max(even, key=lambda separator: (even[separator], -_SEPARATORS.index(separator)), default=",")


def _read(path: Path, encoding: str, separator: str) -> pa.Table:
    """All columns as texts."""
    utf8 = codecs.lookup(encoding).name.startswith("utf-8")
    reading = pa.csv.ReadOptions(encoding="utf8" if utf8 else encoding, block_size=1 << 24)
    parsing = pa.csv.ParseOptions(delimiter=separator, newlines_in_values=True)
    try:
        with open_bytes(path) as file, pa.csv.open_csv(file, reading, parsing) as opened:
            names = opened.schema.names
    except pa.ArrowInvalid as error:
        raise _fault(path, encoding, separator, error) from error
    except UnicodeDecodeError as error:
        raise _undecodable(path, encoding) or error from error
    converting = pa.csv.ConvertOptions(
        column_types=dict.fromkeys(names, pa.large_string()), null_values=_NULLS, strings_can_be_null=True
    )
    try:
        with open_bytes(path) as file:
            return pa.csv.read_csv(file, reading, parsing, converting)
    except (pa.ArrowInvalid, UnicodeDecodeError) as error:
        raise _fault(path, encoding, separator, error) from error


def _fault(path: Path, encoding: str, separator: str, error: Exception) -> ComponentError:
    """What is wrong with a file that Arrow cannot read, and at which byte or line of it."""
    if found := _undecodable(path, encoding):
        return found
    with open_bytes(path) as file:
        rows = csv.reader(io.TextIOWrapper(file, encoding, newline=""), delimiter=separator)
        with contextlib.suppress(csv.Error):  # a value that is longer than Python's reader takes
            width = len(next(rows))
            for row in rows:
                if row and len(row) != width:
                    what = f"line {rows.line_num:,} has {len(row)} values, and the header {width}"
                    hint = "correct the line; values that contain the separator or line ends belong in double quotes"
                    return ComponentError(what, where=path.name, hint=hint)
    return ComponentError(f"not readable as csv: {error}", where=path.name, hint="set the format, or the separator")


def _undecodable(path: Path, encoding: str) -> ComponentError | None:
    """Where a file is not in an encoding; None where it is."""
    name = "utf-8" if encoding == "utf-8-sig" else encoding
    decoder, done, lines = codecs.getincrementaldecoder(name)(), 0, 1
    with open_bytes(path) as file:
        for block in _blocks(file):
            held = len(decoder.getstate()[0])
            try:
                decoder.decode(block, final=not block)
            except UnicodeDecodeError as error:
                at = done - held + error.start
                line = lines + error.object[: error.start].count(b"\n")
                what = f"byte {at:,} (0x{error.object[error.start]:02x}, line {line:,}) is not {name}"
                hint = "name the file's encoding, such as latin-1, cp1252 or utf-16"
                return ComponentError(what, where=path.name, hint=hint)
            done += len(block)
            lines += block.count(b"\n")
    return None


def _blocks(file: IO[bytes]) -> Iterator[bytes]:
    """The content in blocks, and an empty one at the end."""
    while block := file.read(1 << 20):
        yield block
    yield b""


def _column_names(texts: pa.Table, path: Path, notes: list[str]) -> list[str]:
    """The header's names; those that are empty as pandas calls them, such as the index that it writes."""
    names = [name or f"Unnamed: {index}" for index, name in enumerate(texts.column_names)]
    if unnamed := [name for name, given in zip(names, texts.column_names, strict=True) if not given]:
        notes.append(f"columns without a name are called {', '.join(unnamed)}")
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        hint = "give each column a name of its own; is the first line a header?"
        raise ComponentError(f"several columns are called {', '.join(map(repr, repeated))}", where=path.name, hint=hint)
    return names


def _found_decimal(texts: pa.Table, separator: str) -> Literal[".", ","]:
    """A comma, where values are not separated by it, some column has decimal commas, and none has points."""
    if separator == ",":
        return "."
    commas = points = False
    for column in texts.columns:
        commas = commas or (_all(column, _COMMAS) and _some(column, _COMMA))
        points = points or (_some(column, _POINT) and _all(column, r"^[+-]?[0-9]*\.?[0-9]+$"))
    return "," if commas and not points else "."


def _some(column: pa.ChunkedArray, pattern: str) -> bool:
    return bool(pc.any(pc.match_substring_regex(column, pattern)).as_py())


def _all(column: pa.ChunkedArray, pattern: str) -> bool:
    """Whether all values are of a form; a thousand are looked at first."""
    return all(pc.all(pc.match_substring_regex(part, pattern)).as_py() is not False for part in (column[:1000], column))


def _typed(name: str, column: pa.ChunkedArray, decimal: str, notes: list[str]) -> pa.ChunkedArray:
    """A column as what all of its values are: whole numbers, numbers, booleans or texts; of no type without any."""
    if column.null_count == len(column):
        return pa.chunked_array([pa.nulls(len(column))])
    if not _all(column[:1000], _PERHAPS):  # most texts, at the first look
        return column.cast(pa.string())
    trimmed = pc.utf8_trim_whitespace(column)
    if pc.all(pc.is_in(trimmed, pa.array(["true", "false", "True", "False", "TRUE", "FALSE", None]))).as_py():
        return pc.equal(pc.utf8_lower(trimmed), "true")
    if _all(trimmed, _WHOLE):
        if _some(trimmed, _LEADING_ZERO):
            notes.append(f"{name}: numbers with leading zeros are kept as texts")
            return column.cast(pa.string())
        try:
            whole = pc.utf8_ltrim(trimmed, "+").cast(pa.int64())
        except pa.ArrowInvalid:
            whole = None
        if whole is None or pc.max(pc.abs(whole)).as_py() > EXACT:
            notes.append(f"{name}: whole numbers beyond 2^53 are kept as texts")
            return column.cast(pa.string())
        return whole
    numbers = pc.replace_substring(trimmed, ",", ".") if decimal == "," and _all(trimmed, _COMMAS) else trimmed
    if not (decimal == "," and _some(trimmed, _POINT)):
        try:
            return numbers.cast(pa.float64())
        except pa.ArrowInvalid:
            pass
    if _all(trimmed, _LIKE_NUMBERS):
        notes.append(f"{name}: texts that look like numbers, such as {column.drop_null()[0]}; look at decimal")
    elif _all(trimmed, _DATED):
        notes.append(f"{name}: texts that look like times; name it in timestamps to read them as such")
    return column.cast(pa.string())
