"""What the bench of fidelity takes from each measured set, and how it finds a replica that is like it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from fakes import measured_surfaces as surfaces

from bench.fidelity import inferencex, llmpilot, splitwise
from trimtab_replay.closed_loop import Level


def test_levels_come_lowest_first_and_too_few_are_left_out(tmp_path: Path) -> None:
    surfaces.inferencex(tmp_path / "inferencex_a_grids.csv", surfaces.CLOSED_LOOPS[::-1])
    surfaces.inferencex(tmp_path / "inferencex_b_grids.csv", surfaces.CLOSED_LOOPS[:3], backend="b")
    found = inferencex.read(tmp_path).configurations
    assert list(found) == ["made up|a|fp8|1"]
    assert [each.clients for each in found["made up|a|fp8|1"]] == [4, 16, 64, 128, 256]


def test_every_second_configuration_is_judged_and_levels_at_which_requests_fail_are_left_out_by_name(
    tmp_path: Path,
) -> None:
    sound, failing = dict.fromkeys(("A", "A1", "B", "C"), surfaces.MIXED_LOOPS), {"C": [surfaces.MIXED_LOOPS[0]]}
    surfaces.llmpilot(tmp_path / "llmpilot_1_grid.csv", sound)
    surfaces.llmpilot(tmp_path / "llmpilot_2_grid.csv", failing, users=256, err_rate=0.011)
    table = llmpilot.read(tmp_path)
    assert list(table.configurations) == ["A1|a|1", "C|a|1"]
    assert [each.clients for each in table.configurations["C|a|1"]] == [1, 4, 16, 32]
    assert table.left_out == ["C|a|1, 256 users: 0.011 of the requests failed"]


def test_batches_are_medians_of_their_repeats_without_those_that_are_a_model_or_contradict_themselves(
    tmp_path: Path,
) -> None:
    path = tmp_path / "perf_splitwise_{}.csv.gz"
    for repeat, factor in enumerate((0.9, 1.0, 5.0)):
        levels = [replace(each, ttft_seconds=factor * each.ttft_seconds) for each in surfaces.BATCHES]
        surfaces.splitwise(Path(str(path).format(repeat)), levels)
    surfaces.splitwise(Path(str(path).format("pcap")), surfaces.BATCHES, hardware="a-pcap")
    surfaces.splitwise(Path(str(path).format("whole")), [Level(128, 512, 128, 1.0, 0.1)], e2e_time=150_000.0)
    table = splitwise.read(tmp_path)
    assert list(table.configurations) == ["made up|a|1|512|128"]
    assert [each.ttft_seconds for each in table.configurations["made up|a|1|512|128"]] == pytest.approx(
        [each.ttft_seconds for each in surfaces.BATCHES]
    )
    assert table.left_out == [f"made up|a|1|512|128, batch 128: {splitwise.CONTRADICTS}"]


def test_prompts_of_a_batch_are_read_one_after_the_other_and_a_step_grows_with_it() -> None:
    alone, four = surfaces.BATCHES[0], surfaces.BATCHES[1]
    assert four.ttft_seconds - alone.ttft_seconds == pytest.approx(3 * 512 * 2e-5)
    assert four.tpot_seconds - alone.tpot_seconds == pytest.approx(3 * 0.0005)


def test_a_replica_is_found_again_from_two_of_its_batches() -> None:
    found = splitwise.calibrate_batch(surfaces.BATCHES[0], surfaces.BATCHES[2])
    assert found.step_seconds == pytest.approx(surfaces.DIRECT.step_seconds)
    assert found.sequence_seconds == pytest.approx(surfaces.DIRECT.sequence_seconds)
    assert found.prompt_token_seconds == pytest.approx(surfaces.DIRECT.prompt_token_seconds)
    assert found.overhead_seconds == pytest.approx(surfaces.DIRECT.overhead_seconds)


def test_prompts_that_grow_faster_than_the_batch_leave_nothing_for_overhead() -> None:
    found = splitwise.calibrate_batch(Level(1, 100, 10, 0.1, 0.01), Level(4, 100, 10, 1.6, 0.02))
    assert found.overhead_seconds == 0.0
    assert 100 * found.prompt_token_seconds == pytest.approx(0.2)


@pytest.mark.parametrize("high", [Level(4, 100, 10, 0.1, 0.02), Level(4, 100, 10, 0.2, 0.01)])
def test_a_larger_batch_that_is_not_slower_is_refused(high: Level) -> None:
    with pytest.raises(ValueError, match="a batch of 4 is not slower than one of 1"):
        splitwise.calibrate_batch(Level(1, 100, 10, 0.1, 0.01), high)


def test_a_limit_of_sequences_shows_as_few_long_times_between_tokens_and_is_found_again() -> None:
    true = replace(surfaces.DIRECT, max_sequences=8)
    asked = replace(surfaces.ASKED, output_tokens=10.0)  # every tenth time is one before a first token
    low, between, high = (llmpilot.run_mixed_loop(true, users, asked, seed=7) for users in (1, 16, 32))
    assert high.gap_p95_seconds > 10 * high.gap_p50_seconds
    found = llmpilot.calibrate_mixed(low, high)
    seen = llmpilot.run_mixed_loop(found, 16, between)
    assert found.max_sequences == 8
    assert seen.gap_p50_seconds == pytest.approx(between.gap_p50_seconds, rel=0.1)
    assert seen.gap_p95_seconds == pytest.approx(between.gap_p95_seconds, rel=0.3)
    assert seen.requests_per_second == pytest.approx(between.requests_per_second, rel=0.1)


def test_levels_that_do_not_grow_give_no_model() -> None:
    low, *_, high = surfaces.MIXED_LOOPS
    with pytest.raises(ValueError, match="1 users after 32: the second level must be higher and slower"):
        llmpilot.calibrate_mixed(high, low)
    with pytest.raises(ValueError, match="must be higher and slower"):
        llmpilot.calibrate_mixed(low, replace(high, gap_p95_seconds=low.gap_p95_seconds))
