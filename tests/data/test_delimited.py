"""Text tables as the world writes them: each is read as what it says, or told in one sentence."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zipfile
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from turnout import ComponentError
from turnout.data.delimited import Dialect
from turnout.data.tables import read_table

NAN = float("nan")
TEXT = "a;b\n1,5;x\n2;é\n"
ZIPPED = io.BytesIO()
with zipfile.ZipFile(ZIPPED, "w") as archive:
    archive.writestr("inner.csv", "a,b\n1,x\n")

READ: dict[str, tuple[bytes, dict[str, str], dict[str, list[Any]]]] = {
    "a byte-order mark": (b"\xef\xbb\xbfa,b\n1,x\n", {}, {"a": [1], "b": ["x"]}),
    "semicolons and decimal commas": (TEXT.encode(), {}, {"a": [1.5, 2.0], "b": ["x", "é"]}),
    "decimal commas by name": (b'a,b\n"1,5",x\n', {"decimal": ","}, {"a": [1.5], "b": ["x"]}),
    "tabs": (b"a\tb\n1,2\tx y\n", {}, {"a": [1.2], "b": ["x y"]}),
    "bars by name": (b"a|b\n1|x;y\n", {"separator": "|"}, {"a": [1], "b": ["x;y"]}),
    "a tab by its name": (b"a\tb;c\n1\tx\n", {"separator": "tab"}, {"a": [1], "b;c": ["x"]}),
    "commas within a column": (b"a;b\nx, y;1\nz;2\n", {}, {"a": ["x, y", "z"], "b": [1, 2]}),
    "latin-1": (TEXT.encode("latin-1"), {"encoding": "latin-1"}, {"a": [1.5, 2.0], "b": ["x", "é"]}),
    "utf-16 by its mark": (TEXT.encode("utf-16"), {}, {"a": [1.5, 2.0], "b": ["x", "é"]}),
    "gzip": (gzip.compress(b"a,b\n1,x\n"), {}, {"a": [1], "b": ["x"]}),
    "zstd": (pa.compress(b"a,b\n1,x\n", codec="zstd", asbytes=True), {}, {"a": [1], "b": ["x"]}),
    "bz2": (bz2.compress(b"a,b\n1,x\n"), {}, {"a": [1], "b": ["x"]}),
    "xz": (lzma.compress(b"a,b\n1,x\n"), {}, {"a": [1], "b": ["x"]}),
    "zip": (ZIPPED.getvalue(), {}, {"a": [1], "b": ["x"]}),
    "quoted newlines and quotes": (b'a,b\n1,"x\ny, ""z"""\n2,w\n', {}, {"a": [1, 2], "b": ['x\ny, "z"', "w"]}),
    "other line ends": (b"a,b\r\n1,x\r\n\r\n2,y", {}, {"a": [1, 2], "b": ["x", "y"]}),
    "missing values": (b"a,b,c\n1,NA,\n,x,\n", {}, {"a": [1, None], "b": [None, "x"], "c": [None, None]}),
    "leading zeros": (b"zip,n\n01234,1\n98765,2\n", {}, {"zip": ["01234", "98765"], "n": [1, 2]}),
    "whole numbers beyond doubles": (
        b"id,n\n9007199254740993,9007199254740992\n1,-3\n",
        {},
        {"id": ["9007199254740993", "1"], "n": [9007199254740992, -3]},
    ),
    "whole numbers beyond 64 bits": (b"id\n123456789012345678901\n", {}, {"id": ["123456789012345678901"]}),
    "numbers of all forms": (b"a,b\n +1.5,1e3\n-.5,inf\n", {}, {"a": [1.5, -0.5], "b": [1000.0, float("inf")]}),
    "what is no number": (b"a,b\n0x1F,1_000\n2,3\n", {}, {"a": ["0x1F", "2"], "b": ["1_000", "3"]}),
    "booleans": (b"a,b\nTrue,false\n,TRUE\n", {}, {"a": [True, None], "b": [False, True]}),
    "no name": (b",a\n0,x\n1,y\n", {}, {"Unnamed: 0": [0, 1], "a": ["x", "y"]}),
    "a single column": (b"a\n1\n2\n", {}, {"a": [1, 2]}),
    "odd names": (b'"a,b","[c]: {d}"\n1,2\n', {}, {"a,b": [1], "[c]: {d}": [2]}),
    "a header only": (b"a,b\n", {}, {"a": [], "b": []}),
}


@pytest.mark.parametrize(("content", "dialect", "expected"), READ.values(), ids=READ)
def test_a_text_table_is_read_as_what_it_says(tmp_path: Path, content: bytes, dialect: Any, expected: Any) -> None:
    (tmp_path / "table").write_bytes(content)
    table, form, _ = read_table(tmp_path / "table", dialect=Dialect(**dialect))
    assert form == "csv"
    assert table.to_pydict() == expected


TOLD: dict[str, tuple[bytes, dict[str, str], str]] = {
    "another encoding": (b"a,b\n1,x\n2,caf\xe9 au lait\n", {}, r"byte 13 \(0xe9, line 3\) is not utf-8 @ table"),
    "another encoding, after a mark": (b"\xef\xbb\xbfa\n\xe9\n", {}, r"byte 5 \(0xe9, line 2\)"),
    "another encoding, in the header": (b"a,caf\xe9\n1,2\n", {}, r"byte 5 \(0xe9, line 1\)"),
    "another encoding than is named": (
        b"a\n\xc3\xa9\n",
        {"encoding": "ascii"},
        r"byte 2 \(0xc3, line 2\) is not ascii",
    ),
    "an encoding that is none": (b"a\n1\n", {"encoding": "latin-99"}, "no encoding 'latin-99'"),
    "a separator that is none": (b"a\n1\n", {"separator": ", "}, "', ' does not separate values @ separator"),
    "a short row": (b'a,b\n"x\ny",2\n3\n', {}, "line 4 has 1 values, and the header 2 @ table"),
    "a long row": (b"a;b\n1;2\n1;2;3\n", {}, "line 3 has 3 values, and the header 2"),
    "two columns of a name": (b"a,b,a\n1,2,3\n", {}, "several columns are called 'a'"),
    "nothing": (b"", {}, "the file is empty"),
    "nothing but a mark": (b"\xef\xbb\xbf\n", {}, "the file is empty"),
    "half of an archive": (gzip.compress(b"a,b\n" + b"1,x\n" * 999)[:-30], {}, "not readable to its end"),
    "what is no table": (b"\0\1\2" * 99, {}, "neither Parquet nor CSV"),
}


@pytest.mark.parametrize(("content", "dialect", "message"), TOLD.values(), ids=TOLD)
def test_what_cannot_be_read_is_told_with_its_place(tmp_path: Path, content: bytes, dialect: Any, message: str) -> None:
    (tmp_path / "table").write_bytes(content)
    with pytest.raises(ComponentError, match=message) as raised:
        read_table(tmp_path / "table", dialect=Dialect(**dialect))
    assert "hint: " in str(raised.value)


NOTED: dict[str, tuple[bytes, list[str]]] = {
    "a plain file": (b"a,b\n1,x\n", []),
    "what was found": (TEXT.encode(), ["values are separated by ';'", "numbers have decimal commas"]),
    "identifiers": (b"zip\n01\n", ["zip: numbers with leading zeros are kept as texts"]),
    "thousands": (b'price\n"1,234.50"\n', ["price: texts that look like numbers, such as 1,234.50; look at decimal"]),
    "times": (b"when\n2024-01-31\n", ["when: texts that look like times; name it in timestamps to read them as such"]),
}


@pytest.mark.parametrize(("content", "notes"), NOTED.values(), ids=NOTED)
def test_what_was_found_is_told(tmp_path: Path, content: bytes, notes: list[str]) -> None:
    (tmp_path / "table").write_bytes(content)
    assert read_table(tmp_path / "table")[2] == notes


def test_a_byte_that_is_not_in_the_encoding_is_found_far_into_the_file(tmp_path: Path) -> None:
    before = "a,b\n" + "1,é\n" * 300_000
    (tmp_path / "table").write_bytes(gzip.compress(before.encode() + b"2,\xe9\n"))
    with pytest.raises(ComponentError, match=r"byte 1,500,006 \(0xe9, line 300,002\) is not utf-8"):
        read_table(tmp_path / "table")


def test_a_large_file_is_what_pandas_reads(tmp_path: Path) -> None:
    """Across the blocks in which it is read: a column is one kind of thing from its first row to its last."""
    rows = 400_000
    table = pd.DataFrame({"n": range(rows), "x": 0.1, "text": ['a,"b"\n'] * rows, "late": [""] * (rows - 1) + ["x"]})
    table.to_csv(tmp_path / "table", index=False)
    read = read_table(tmp_path / "table")[0].to_pandas().fillna(float("nan"))
    pd.testing.assert_frame_equal(read, pd.read_csv(tmp_path / "table", low_memory=False), check_exact=True)
