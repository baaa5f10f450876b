"""The traffic of the scaling bench: windows, sizes, and what is no trace."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.scaling.play import LEAD_IN_SECONDS, with_lead_in
from bench.scaling.traffic import AZURE, FAMILIES, Family, scaled, windows
from trimtab_replay.tables import UnfitFileError
from trimtab_replay.trace import Trace


def trace(count: int, seconds: float) -> Trace:
    return Trace(np.linspace(0.0, seconds, count), np.arange(count, dtype=float) + 1.0, np.full(count, 5.0))


@given(st.floats(0.2, 30.0), st.integers(0, 9))
def test_traffic_of_another_size_has_as_many_times_the_requests_in_the_same_time(factor: float, seed: int) -> None:
    base = trace(2000, 3600.0)
    found = scaled(base, factor, 30.0, seed)
    assert len(found) == pytest.approx(factor * 2000, rel=0.15)
    assert (np.diff(found.arrived) >= 0.0).all()
    assert 0.0 <= found.arrived[0] <= found.arrived[-1] <= 3600.0


def test_a_copy_lies_near_its_request_and_is_as_long() -> None:
    base = trace(500, 3600.0)
    found = scaled(base, 4.0, 30.0, 1)
    origin = base.arrived[found.prompt_tokens.astype(int) - 1]
    inside = (origin > 30.0) & (origin < 3570.0)
    assert np.abs(found.arrived - origin)[inside].max() <= 30.0


def test_the_lead_in_is_the_beginning_backwards() -> None:
    base = trace(361, 3600.0)
    found = with_lead_in(base)
    assert len(found) == 361 + 60
    assert (np.diff(found.arrived) >= 0.0).all()
    assert found.prompt_tokens[:3].tolist() == [60.0, 59.0, 58.0]
    assert found.arrived[60] == pytest.approx(LEAD_IN_SECONDS)


def write(path: Path, rows: list[dict[str, float]]) -> None:
    with gzip.open(path, "wt") as lines:
        if ".jsonl" in path.name:
            lines.writelines(json.dumps(row) + "\n" for row in rows)
        else:
            names = list(rows[0])
            lines.write(",".join(names) + "\n")
            lines.writelines(",".join(str(row[name]) for name in names) + "\n" for row in rows)


def test_windows_begin_at_their_own_zero_and_may_borrow_lengths(tmp_path: Path) -> None:
    write(tmp_path / AZURE.file, [{"t_s": 0.0, "in_tok": 7, "out_tok": 3}, {"t_s": 1.0, "in_tok": 8, "out_tok": 0}])
    write(tmp_path / "days.csv.gz", [{"t_s": at, "in_tok": 1, "out_tok": 1} for at in (5.0, 10.0, 15.0, 20.0)])
    days = Family("days", "days.csv.gz", (60.0,), ((10.0, 20.0), (0.0, 6.0)), own_lengths=False)
    first, second = windows(tmp_path, days)
    assert first.arrived.tolist() == [0.0, 5.0]
    assert second.arrived.tolist() == [5.0]
    assert set(first.prompt_tokens.tolist()) <= {7.0, 8.0}
    assert set(first.output_tokens.tolist()) <= {3.0, 1.0}
    write(tmp_path / "own.jsonl.gz", [{"t_ms": 2000.0, "in_tok": 4, "out_tok": 2}])
    (own,) = windows(tmp_path, Family("own", "own.jsonl.gz", (60.0,), ((0.0, 10.0),)))
    assert (own.arrived.tolist(), own.prompt_tokens.tolist()) == ([2.0], [4.0])


def test_a_folder_that_does_not_fit_is_refused_with_the_file_and_the_column(tmp_path: Path) -> None:
    with pytest.raises(UnfitFileError, match=AZURE.file):
        windows(tmp_path, AZURE)
    write(tmp_path / AZURE.file, [{"t_s": 0.0, "in_tok": 7}])
    with pytest.raises(UnfitFileError, match="has no column out_tok"):
        windows(tmp_path, AZURE)


def test_short_starts_are_played_on_all_traffic_and_long_ones_on_days() -> None:
    for family in FAMILIES:
        assert (600.0 in family.startups_seconds) == family.name.startswith("servegen")
