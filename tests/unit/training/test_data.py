"""Equal content is equal data, whatever wrote it; and what is missing is missing in one way."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

from sluice_training.data import canonical, columns, digest, read, taken
from sluice_training.errors import TrainingError
from unit.training.shops import shops


def test_a_csv_file_and_a_parquet_file_of_the_same_rows_are_the_same_data(tmp_path: Path) -> None:
    table = shops()
    pa.csv.write_csv(table, tmp_path / "shops.csv")
    pa.parquet.write_table(table, tmp_path / "shops.parquet", row_group_size=7, compression="snappy")
    assert (
        digest(read([tmp_path / "shops.csv"])) == digest(read([tmp_path / "shops.parquet"])) == digest(canonical(table))
    )


def test_neither_chunks_nor_widths_nor_dictionaries_change_the_digest() -> None:
    table = shops(40)
    pieces = pa.concat_tables([table.slice(0, 13), table.slice(13)])
    narrow = table.set_column(0, "shop", table.column("shop").cast(pa.int16()))
    coded = table.set_column(3, "city", table.column("city").combine_chunks().dictionary_encode())
    assert len({digest(canonical(other)) for other in (table, pieces, narrow, coded)}) == 1


def test_files_are_one_table_where_a_column_looks_different_in_each(tmp_path: Path) -> None:
    whole = "n,text,half,when\n1,,5,2026-01-01\n2,a,5.5,2026-01-02\n"
    head, *rows = whole.splitlines()
    for place, row in enumerate(rows):
        (tmp_path / f"{place}.csv").write_text(f"{head}\n{row}\n")
    (tmp_path / "whole.csv").write_text(whole)
    table = read([tmp_path / "0.csv", tmp_path / "1.csv"])
    assert [str(kind) for kind in table.schema.types] == ["int64", "string", "double", "timestamp[us, tz=UTC]"]
    assert digest(table) == digest(read([tmp_path / "whole.csv"]))


@pytest.mark.parametrize("files", [1, 2])
def test_a_column_that_says_its_type_has_it_without_a_value(tmp_path: Path, files: int) -> None:
    for place in range(files):
        pa.parquet.write_table(pa.table({"a": pa.array([None], pa.string())}), tmp_path / f"{place}.parquet")
    assert read([tmp_path / f"{place}.parquet" for place in range(files)]).schema.types == [pa.string()]


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ("a\n1\n", "different columns: .*one.csv and .*other.csv differ in 'b'"),
        ("a,b\n1,yes it is\n", "columns of different types"),
    ],
)
def test_files_that_are_no_one_table_are_refused(tmp_path: Path, other: str, message: str) -> None:
    (tmp_path / "one.csv").write_text("a,b\n1,2\n")
    (tmp_path / "other.csv").write_text(other)
    with pytest.raises(TrainingError, match=message):
        read([tmp_path / "one.csv", tmp_path / "other.csv"])


def test_text_is_text_in_every_layout() -> None:
    tables = [
        pa.table({"a": pa.array(["x", None], kind)}) for kind in (pa.string(), pa.large_string(), pa.string_view())
    ]
    assert len({digest(canonical(table)) for table in tables}) == 1


@pytest.mark.parametrize("change", ["value", "name", "order", "missing", "text"])
def test_every_change_of_content_changes_the_digest(change: str) -> None:
    table = pa.table({"a": [1.0, 2.0, 0.0], "b": ["x", "yz", ""]})
    changed = {
        "value": pa.table({"a": [1.0, 2.5, 0.0], "b": ["x", "yz", ""]}),
        "name": pa.table({"c": [1.0, 2.0, 0.0], "b": ["x", "yz", ""]}),
        "order": table.take([1, 0, 2]),
        "missing": pa.table({"a": [1.0, 2.0, None], "b": ["x", "yz", ""]}),
        "text": pa.table({"a": [1.0, 2.0, 0.0], "b": ["xy", "z", ""]}),
    }[change]
    assert digest(canonical(changed)) != digest(canonical(table))


def test_what_is_missing_is_nan_in_numbers_and_empty_in_text() -> None:
    times = pa.array([datetime(1970, 1, 2), None], pa.timestamp("s"))
    given = {"n": [1, None], "f": [2.0, float("nan")], "t": ["a", None], "w": times, "b": [True, None]}
    found = columns(canonical(pa.table(given)), list(given))
    assert found["n"].dtype == np.float64
    assert all(np.isnan(found[name]).tolist() == [False, True] for name in "nfwb")
    assert found["t"].tolist() == ["a", ""]
    assert found["w"][0] == 86_400


def test_whole_integers_and_truths_keep_their_types() -> None:
    found = columns(canonical(pa.table({"n": [1, 2], "b": [True, False]})), ["n", "b"])
    assert [array.dtype for array in found.values()] == [np.int64, np.bool_]


def test_arrays_of_a_notebook_are_data_too() -> None:
    assert digest(taken({"a": np.array([1, 2])})) == digest(taken(pa.table({"a": [1, 2]})))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (pa.table({"a": [[1, 2]]}), "column 'a' is of type list"),
        (Path("data.xlsx"), r"neither .csv, .csv.gz nor .parquet"),
        (Path("absent.csv"), "there is no absent.csv; paths are from "),
        ({"a": [1], "b": [1, 2]}, "the data is no table"),
        (7, "the data is no table .*; give paths, a data frame"),
        ({"a": np.zeros((2, 2))}, "column 'a' cannot be read: only handle 1-dimensional"),
    ],
)
def test_what_cannot_be_learned_from_is_refused_in_one_line(given: object, message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        taken(given)


def test_a_mark_of_the_byte_order_is_no_part_of_a_name(tmp_path: Path) -> None:
    (tmp_path / "excel.csv").write_bytes(b"\xef\xbb\xbfsize,city\r\n5,Assen\r\n")
    assert read([tmp_path / "excel.csv"]).column_names == ["size", "city"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"size;city\n5;Assen\n", "are divided by ';'; divide them by commas"),
        (b"size\tcity\n5\tAssen\n", r"are divided by '\\t'; divide them by commas"),
        (b"size,city\n5,Caf\xe9\n", "column 'city' of .*shops.csv is not UTF-8 text; save the file as UTF-8"),
        (b"size,caf\xe9\n5,Assen\n", "the first line of .*shops.csv is not UTF-8 text; save the file as UTF-8"),
        ("size,city\n5,Assen\n".encode("utf-16"), "shops.csv is not UTF-8 text; save the file as CSV in UTF-8"),
        ("size,city\n5,Assen\n".encode("utf-16-be"), "shops.csv is not UTF-8 text; save the file as CSV in UTF-8"),
        (b"size,city,size\n5,Assen,6\n", "columns repeat in .*shops.csv: size"),
        (b"size,city\n5,Assen\n6,Assen,7\n", "shops.csv cannot be read: .*Row #3: Expected 2 columns, got 3"),
    ],
)
def test_a_file_of_another_form_is_told_by_what_it_is(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "shops.csv").write_bytes(content)
    with pytest.raises(TrainingError, match=message):
        read([tmp_path / "shops.csv"])
