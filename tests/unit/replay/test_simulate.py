"""kubectl trimtab replay on a user's own policy and traffic: what is read, printed, written and refused."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from trimtab_api.policy import OptimizationPolicy
from trimtab_cli.__main__ import app
from trimtab_replay.simulate import read_policy
from trimtab_replay.tables import UnfitFileError
from trimtab_replay.trace import read_trace

ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / "docs" / "examples" / "llama-chat.yaml"
TRACE = ROOT / "tests" / "data" / "llm_azure_conv_2023.csv.gz"


def called(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["replay", *map(str, arguments)], catch_exceptions=False)
    return result.exit_code, result.output


def a_trace(path: Path, *rows: str, header: str = "t_s,in_tok,out_tok") -> Path:
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def test_the_example_is_played_on_a_real_trace_and_told_in_one_page(tmp_path: Path) -> None:
    report, figures = tmp_path / "report.html", tmp_path / "figures.json"
    code, said = called("--policy", EXAMPLE, "--trace", TRACE, "--report", report, "--json", figures)
    assert code == 0
    assert "19366 requests, 0 not answered" in said
    assert "timeToFirstToken within 2 s: 100.00% of requests, 95% wanted: met" in said
    page = report.read_text()
    assert page.count("<svg") == 3
    assert not re.search(r"(?:src|href)=", page), "the page needs nothing but itself"
    assert json.loads(figures.read_text())["requests"] == 19366


def test_the_law_keeps_the_objective_of_the_example_at_eight_times_the_real_traffic(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    code, said = called("--policy", EXAMPLE, "--trace", TRACE, "--times", 8, "--json", figures)
    assert (code, "154928 requests, 0 not answered" in said) == (0, True), said
    found = json.loads(figures.read_text())
    assert found["attainment"]["timeToFirstToken"] >= 0.95
    assert found["gpu_hours"] < 0.5 * 16 * 2, "half of what the most replicas would take in the hour"


def test_too_much_load_misses_the_objective_says_so_and_lists_every_decision(tmp_path: Path) -> None:
    rows = [f"{place * 0.02:.2f},2000,200" for place in range(12_000)]
    report = tmp_path / "report.html"
    code, said = called("--policy", EXAMPLE, "--trace", a_trace(tmp_path / "t.csv", *rows), "--report", report)
    assert code == 1
    assert "MISSED" in said
    page = report.read_text()
    assert '<tr class="missed"><td>timeToFirstToken</td>' in page
    assert page.count("→") >= 1


def test_each_request_may_come_several_times_a_little_apart(tmp_path: Path) -> None:
    path = a_trace(tmp_path / "t.csv", "100,10,5", "200,20,0")
    once, thrice = read_trace(path), read_trace(path, times=3)
    assert once.arrived.tolist() == [100.0, 200.0]
    assert (once.prompt_tokens.tolist(), once.output_tokens.tolist()) == ([10.0, 20.0], [5.0, 1.0])
    assert len(thrice) == 6
    assert thrice.arrived.tolist() == sorted(thrice.arrived.tolist())
    assert all(min(abs(each - 100.0), abs(each - 200.0)) <= 5.0 for each in thrice.arrived.tolist())


@pytest.mark.parametrize(
    ("header", "row", "says"),
    [
        ("t_s,in_tok", "1,2", "has no column out_tok; needed are t_s, in_tok, out_tok"),
        ("t_s,in_tok,out_tok", "1,2,many", "line 2: invalid literal"),
        ("t_s,in_tok,out_tok", "-1,2,3", "line 2: time and tokens must not be negative"),
        ("t_s,in_tok,out_tok", "nan,2,3", "line 2: time and tokens must not be negative"),
        ("t_s,in_tok,out_tok", "1,2", "line 2:"),
    ],
)
def test_a_file_that_is_no_trace_is_refused_with_its_line(tmp_path: Path, header: str, row: str, says: str) -> None:
    path = a_trace(tmp_path / "t.csv", row, header=header)
    with pytest.raises(UnfitFileError, match=re.escape(says)):
        read_trace(path)
    code, said = called("--policy", EXAMPLE, "--trace", path)
    assert (code, says in said) == (2, True)


def test_a_trace_beyond_all_bounds_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnfitFileError, match="more than 5000000"):
        read_trace(a_trace(tmp_path / "t.csv", "1,2,3"), times=5_000_001)


def test_a_compressed_trace_is_read_as_well(tmp_path: Path) -> None:
    path = tmp_path / "t.csv.gz"
    with gzip.open(path, "wt") as lines:
        lines.write("t_s,in_tok,out_tok\n1,2,3\n")
    assert len(read_trace(path)) == 1


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("kind: Deployment\n", "holds 0 OptimizationPolicy objects"),
        ("- a list\n", "is no OptimizationPolicy"),
        ("{", "is no OptimizationPolicy"),
        ("kind: OptimizationPolicy\nmetadata: {name: a}\nspec: {}\n", "is no OptimizationPolicy"),
        (EXAMPLE.read_text().replace("  scaling:", "  # scaling:"), "spec.scaling is absent"),
    ],
    ids=["another kind", "a list", "no YAML", "no target", "no scaling"],
)
def test_a_policy_that_cannot_be_played_is_refused(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=says):
        read_policy(path)


def test_a_policy_is_played_as_if_it_were_new_and_might_act() -> None:
    policy = read_policy(EXAMPLE)
    assert isinstance(policy, OptimizationPolicy)
    assert (policy.spec.mode, policy.metadata.namespace, policy.status.baseline) == ("Apply", "prod", None)


@pytest.mark.parametrize(
    "arguments", [(), ("--policy", EXAMPLE), ("--trace", TRACE)], ids=["nothing", "policy", "trace"]
)
def test_half_of_what_is_needed_is_refused_with_what_is(arguments: tuple[object, ...]) -> None:
    code, said = called(*arguments)
    assert code == 2
    assert "--policy and --trace" in said
