"""Every alert fires when it should and stays silent otherwise: decided by promtool on the rendered rules."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from harness.chart import MONITORING, Chart

from trimtab_agent.metrics import TABLE as AGENT_TABLE
from trimtab_operator.telemetry import TABLE

CASES = sorted((Path(__file__).parent / "alerts").glob("*.yaml"))
SERIES = re.compile(r"\btrimtab_[a-z0-9_]+\b")


def alerts(chart: Chart) -> list[dict[str, Any]]:
    rendered = chart.render({"metrics": {"prometheusRule": {"enabled": True}}}, api_versions=MONITORING)
    (group,) = rendered["PrometheusRule/trimtab"]["spec"]["groups"]
    rules: list[dict[str, Any]] = group["rules"]
    return rules


@pytest.fixture(scope="module")
def rules(chart: Chart, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("rules") / "rules.yaml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "trimtab", "rules": alerts(chart)}]}, sort_keys=False))
    return path


def promtool(*arguments: str | Path) -> str:
    """Output of promtool; AssertionError with it where promtool finds a fault."""
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_promtool_accepts_the_rules(rules: Path) -> None:
    assert "6 rules found" in promtool("check", "rules", rules)


@pytest.mark.parametrize("cases", CASES, ids=[path.stem for path in CASES])
def test_an_alert_fires_and_stays_silent_as_its_cases_say(rules: Path, cases: Path, tmp_path: Path) -> None:
    shutil.copy(rules, tmp_path / "rules.yaml")
    shutil.copy(cases, tmp_path / cases.name)
    assert "SUCCESS" in promtool("test", "rules", tmp_path / cases.name)


def test_every_alert_has_a_case_that_fires_and_one_that_is_silent(chart: Chart) -> None:
    fires: set[str] = set()
    silent: set[str] = set()
    for path in CASES:
        for case in yaml.safe_load(path.read_text())["tests"]:
            expectations = case["alert_rule_test"]
            fires |= {entry["alertname"] for entry in expectations if entry["exp_alerts"]}
            if not any(entry["exp_alerts"] for entry in expectations):
                silent |= {entry["alertname"] for entry in expectations}
    names = {rule["alert"] for rule in alerts(chart)}
    assert fires == names
    assert silent == names


def test_every_alert_says_what_to_look_at(chart: Chart) -> None:
    for rule in alerts(chart):
        assert rule["labels"]["severity"] in {"info", "warning", "critical"}
        assert "kubectl" in rule["annotations"]["description"], rule["alert"]


def test_alerts_read_only_metrics_that_the_operator_exports(chart: Chart) -> None:
    exported = {row.name for row in TABLE}
    for rule in alerts(chart):
        assert set(SERIES.findall(rule["expr"])) <= exported, rule["alert"]


def test_the_dashboard_is_json_that_reads_only_metrics_that_are_exported(chart: Chart) -> None:
    rendered = chart.render({"metrics": {"dashboard": {"enabled": True}}})
    config_map = rendered["ConfigMap/trimtab-dashboard"]
    assert config_map["metadata"]["labels"]["grafana_dashboard"] == "1"
    dashboard = json.loads(config_map["data"]["trimtab.json"])
    exported = {row.name for row in TABLE} | {row.name for row in AGENT_TABLE}
    expressions = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    named = {name for expression in expressions for name in SERIES.findall(expression)}
    assert named - exported == set()
    assert len(named) >= 8
    places = [panel["gridPos"] for panel in dashboard["panels"]]
    cells = [(x, y) for p in places for x in range(p["x"], p["x"] + p["w"]) for y in range(p["y"], p["y"] + p["h"])]
    assert len(cells) == len(set(cells)), "panels overlap"
