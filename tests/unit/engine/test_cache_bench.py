"""The rivals of the cache bench do what their papers say, and the bench tells a miss of the floor."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from bench import cache as bench


def test_the_reference_lru_and_s3_fifo_hit_what_is_counted_by_hand() -> None:
    assert bench.lru_hits([1, 2, 1, 3, 2, 1], 2) == 1
    reference = bench.ReferenceS3Fifo(10)
    assert [reference.access(key) for key in (1, 1, 1)] == [False, True, True]
    for key in range(100, 140):
        assert not reference.access(key)
    assert reference.access(1)  # used twice in the small queue: the scan of 40 keys did not push it out
    assert not reference.access(100)


def test_the_bench_prints_a_row_for_each_trace_and_size_and_fails_where_the_floor_is_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with gzip.open(tmp_path / "small.csv.gz", "wt") as lines:
        lines.write("key\n" + "".join(f"{number * number % 997}\n" for number in range(4000)))
    monkeypatch.setattr(bench, "TRACES", ("small.csv.gz",))
    monkeypatch.setattr(bench, "FLOOR_POINTS", -100.0)
    written = tmp_path / "cache.json"
    assert bench.main(["--traces", str(tmp_path), "--json", str(written)]) == 0
    assert len(json.loads(written.read_text())) == 3
    monkeypatch.setattr(bench, "FLOOR_POINTS", 100.0)
    assert bench.main(["--traces", str(tmp_path)]) == 1
