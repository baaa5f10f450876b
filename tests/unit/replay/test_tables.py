"""Tables are read whether they are compressed or not, and what they lack is named."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import pytest

from trimtab_replay.tables import UnfitFileError, rows, rows_of_all


def test_the_rows_of_all_files_that_fit_are_read_in_the_order_of_their_names(tmp_path: Path) -> None:
    (tmp_path / "grid-b.csv").write_text("a,b\n3,4\n")
    (tmp_path / "grid-a.csv.gz").write_bytes(gzip.compress(b"b,a\n2,1\n"))
    (tmp_path / "other.csv").write_text("a,b\n5,6\n")
    found = list(rows_of_all(tmp_path, "grid-*.csv*", ("a", "b")))
    assert found == [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}]


def test_a_folder_without_a_file_that_fits_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnfitFileError, match=re.escape(f"{tmp_path} has no file grid-*.csv")):
        list(rows_of_all(tmp_path, "grid-*.csv", ()))


@pytest.mark.parametrize("text", ["b,a\n1,2\n", ""], ids=["other columns", "empty"])
def test_columns_that_a_file_lacks_are_named_with_those_that_are_needed(tmp_path: Path, text: str) -> None:
    path = tmp_path / "grid.csv"
    path.write_text(text)
    with pytest.raises(UnfitFileError, match=rf"{re.escape(str(path))} has no column .*z; needed are z, b, y"):
        list(rows(path, ("z", "b", "y")))
