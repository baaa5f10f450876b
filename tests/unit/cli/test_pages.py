"""What a person reads, as text: nothing is left out, nothing is guessed."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fakes.builders import a_policy, a_trial
from rich.console import Console, RenderableType

from trimtab_api import OptimizationPolicy, OptimizationTrial
from trimtab_cli.concerns import concerns
from trimtab_cli.pages import explanation_page, policies_page, policy_page, trials_page

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
AT = (NOW - timedelta(minutes=5)).isoformat()


def text(page: RenderableType, width: int = 1000) -> str:
    console = Console(width=width, color_system=None)
    with console.capture() as captured:
        console.print(page, crop=False)
    return captured.get()


def condition(kind: str, status: str, reason: str, message: str = "because") -> dict[str, Any]:
    return {"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": AT}


def with_conditions(*rows: dict[str, Any]) -> OptimizationPolicy:
    return a_policy(status={"observedGeneration": 3, "conditions": list(rows)})


@pytest.mark.parametrize(
    ("row", "amiss"),
    [
        (("Ready", "True", "Observing"), False),
        (("Ready", "Unknown", "MetricsUntrusted"), True),
        (("TargetResolved", "False", "NotFound"), True),
        (("ObjectivesMet", "True", "NoObjectives"), False),
        (("ObjectivesMet", "True", "WillMiss"), True),
        (("ObjectivesMet", "False", "Burning"), True),
        (("EngineAttached", "Unknown", "NotRequired"), False),
        (("EngineAttached", "False", "AgentLost"), True),
        (("Progressing", "False", "Steady"), False),
        (("Progressing", "True", "Scaling"), False),
        (("Progressing", "False", "RecommendOnly"), False),
        (("Progressing", "False", "Unschedulable"), True),
        (("Progressing", "False", "MaxModeRecommend"), True),
        (("Conflict", "False", "None"), False),
        (("Conflict", "True", "TargetTaken"), True),
        (("Conflict", "Unknown", "None"), True),
    ],
)
def test_a_condition_needs_a_look_only_when_it_is_not_as_it_should_be(row: tuple[str, str, str], amiss: bool) -> None:
    found = concerns(with_conditions(condition(*row)).status)
    assert bool(found) is amiss


def test_status_gives_the_messages_of_conditions_that_are_amiss() -> None:
    bad = condition("MetricsTrusted", "False", "Stale", "pods chat-[0-3]: newest sample is 90 s old")
    page = text(policies_page([with_conditions(bad, condition("Conflict", "False", "None"))], NOW))
    assert "prod/chat: MetricsTrusted is False, Stale: pods chat-[0-3]: newest sample is 90 s old" in page
    assert "Conflict" not in page


def test_status_of_healthy_policies_is_the_table_alone() -> None:
    page = text(policies_page([with_conditions(condition("Ready", "True", "Optimizing"))], NOW))
    assert len(page.strip().splitlines()) == 2


def test_no_cell_of_a_policy_without_status_is_blank() -> None:
    header, row = text(policies_page([a_policy()], NOW)).strip().splitlines()
    assert len(row.split()) == len(header.split())
    assert "Unknown" in row
    assert text(policy_page(a_policy(), NOW)).count("\nUnknown\n") == 3


def test_a_query_is_shown_unbroken_on_a_narrow_terminal() -> None:
    query = 'sum by (pod) (rate(trimtab_engine_worker_busy_seconds_total{namespace="prod",pod=~"chat-.*"}[20s]))'
    evidence = [
        {"signal": "busy", "query": query, "value": "0.95", "unit": "ratio", "at": AT, "samples": 9},
        {"signal": "queue", "unit": "requests", "at": AT},
    ]
    bottleneck = {"kind": "Compute", "confidence": "0.9", "evidence": evidence, "since": AT, "runnerUp": "Queue"}
    page = text(explanation_page(a_policy(status={"bottleneck": bottleneck}), None, NOW), width=80)
    assert f"query of busy: {query}\n" in page
    assert "Compute for 5m, confidence 0.9; next most likely Queue" in page
    assert [line.split() for line in page.splitlines() if line.startswith("queue ")] == [
        ["queue", "Unknown", "requests", "0", "2026-01-02T02:59:05+00:00"]
    ]


def test_an_explanation_names_the_costliest_layers_where_they_are_known() -> None:
    parts = [{"kind": "encoder.intermediate", "timeRatio": "0.312"}, {"kind": "encoder.output", "timeRatio": "0.28"}]
    bottleneck = {"kind": "Compute", "confidence": "0.9", "evidence": [], "since": AT}
    known = a_policy(status={"bottleneck": bottleneck | {"parts": parts}})
    page = text(explanation_page(known, None, NOW))
    assert "Of a pass through the model: encoder.intermediate 31%, encoder.output 28%" in page
    assert "Of a pass" not in text(explanation_page(a_policy(status={"bottleneck": bottleneck}), None, NOW))


def test_an_explanation_names_the_stage_that_limits() -> None:
    bottleneck = {"kind": "Compute", "confidence": "0.9", "evidence": [], "since": AT}
    stage = {"name": "GPUs 2, 3", "activeRatio": "0.952", "othersRatio": "0.41"}
    page = text(explanation_page(a_policy(status={"bottleneck": bottleneck | {"stage": stage}}), None, NOW))
    assert "Stage of each replica: GPUs 2, 3, 95% active; the others at most 41%" in page
    assert "Stage" not in text(explanation_page(a_policy(status={"bottleneck": bottleneck}), None, NOW))


def test_an_explanation_tells_which_generation_it_speaks_about() -> None:
    page = text(explanation_page(a_policy(status={"observedGeneration": 2}), None, NOW))
    assert "generation 2 of spec; generation 3 is not looked at yet" in page
    assert "generation" not in text(explanation_page(a_policy(status={"observedGeneration": 3}), None, NOW))


def test_an_explanation_tells_a_pause_that_somebody_asked_for() -> None:
    paused = condition("Progressing", "False", "Paused", "spec.mode is Paused")
    page = text(explanation_page(with_conditions(paused), None, NOW))
    assert "Progressing is False, Paused: spec.mode is Paused" in page
    assert "every condition is as it should be" in page


def test_an_explanation_shows_replicas_scorecard_and_history() -> None:
    status = {
        "replicas": {"current": 0, "uncapped": 6, "reason": "Utilization: [busy] is 0.95", "at": AT},
        "scorecard": [{"measure": "Errors", "reference": "<1%", "state": "NotMeasured", "reason": "no requests"}],
        "history": [{"id": "a", "at": AT, "what": "ForeignEdit", "from": "1", "to": "2", "why": "kubectl-scale"}],
        "historySummary": {"count": 5, "since": AT, "until": AT, "scaled": 4},
    }
    lines = [line.split() for line in text(explanation_page(a_policy(status=status), None, NOW)).splitlines()]
    assert ["0", "Unknown", "6", "5m", "ago"] in lines
    assert ["Reason:", "Utilization:", "[busy]", "is", "0.95"] in lines
    assert ["Errors", "NotMeasured", "Unknown", "<1%", "0", "Unknown", "no", "requests"] in lines
    assert ["2026-01-02T02:59:05+00:00", "5m", "ForeignEdit", "1", "→", "2", "kubectl-scale"] in lines
    assert any(line[:3] == ["5", "older", "entries"] for line in lines)


def test_an_explanation_shows_burn_rates_trends_and_what_the_errors_are() -> None:
    objective = {"name": "errorRatio", "limit": "0.01", "met": "Met", "confidence": "0.93", "marginRatio": "0.4"}
    burn = {"burnRate": {"short": "0.6", "lasting": False}, "willMissAt": AT}
    trend = {"over": "1d", "perHour": "0.0002", "low": "0.0001", "high": "0.0003"}
    errors = [{"reason": "rejected", "ratio": "0.004"}, {"reason": "503", "ratio": "0.002"}]
    row = {"measure": "Errors", "reference": "0.01", "state": "Met", "trends": [trend], "errors": errors}
    page = text(explanation_page(a_policy(status={"objectives": [objective | burn], "scorecard": [row]}), None, NOW))
    lines = [line.split() for line in page.splitlines()]
    assert ["errorRatio", "0.93", "0.4", "0.6", "Unknown", "2026-01-02T02:59:05+00:00"] in lines
    assert ["Errors", "1d", "0.0002", "0.0001", "0.0003"] in lines
    assert "Errors of all requests: rejected 0.40%, 503 0.20%" in page


def test_an_objective_that_no_trend_leads_to_has_no_time_of_a_miss() -> None:
    objective = {"name": "latency", "limit": "1s", "met": "Met", "burnRate": {"short": "0", "long": "0"}}
    lines = [
        line.split()
        for line in text(explanation_page(a_policy(status={"objectives": [objective]}), None, NOW)).splitlines()
    ]
    assert ["latency", "Unknown", "Unknown", "0", "0", "-"] in lines


def test_a_trial_is_shown_with_prediction_observation_and_verdict() -> None:
    settings = {"maxBatchSize": 8}
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "chat", "uid": "u", "templateHash": "h"}
    pods = [{"uid": arm, "name": arm.lower(), "node": "n", "arm": arm} for arm in ("Canary", "Stable")]
    spec = {
        "policy": "chat", "target": target, "change": {"knob": "maxBatchSize", "from": "1", "to": "8"},
        "changeSummary": "maxBatchSize 1→8", "hypothesis": "fuller batches", "predicted": [],
        "predictedSummary": "throughput +80%", "design": "PairedCanary", "pods": pods,
        "canary": settings, "stable": settings, "rules": {},
    }  # fmt: skip
    body = {"metadata": {"name": "chat-1", "namespace": "prod", "creationTimestamp": AT}, "spec": spec}
    trial = OptimizationTrial.model_validate_json(json.dumps(body))
    header, row = text(trials_page([trial], NOW)).strip().splitlines()
    assert header.split() == [
        "NAMESPACE", "NAME", "POLICY", "CHANGE", "DESIGN", "PREDICTED", "SHADOW", "OBSERVED", "VERDICT", "AGE",
    ]  # fmt: skip
    assert row.split() == [
        "prod", "chat-1", "chat", "maxBatchSize", "1→8", "PairedCanary",
        "throughput", "+80%", "-", "Unknown", "Unknown", "5m",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("speedup", "told"),
    [
        ("1.312", "accuracy 0.9871 of 0.98 on 512 inputs, 1.312 times as fast"),
        (None, "accuracy 0.9871 of 0.98 on 512 inputs"),
    ],
)
def test_what_was_found_in_shadow_is_listed_and_explained(speedup: str | None, told: str) -> None:
    seen = {"setting": "quantization", "value": "Int8", "accuracyLow": "0.9871", "minAccuracy": "0.98", "inputs": 512}
    trial = a_trial(status={"phase": "Shadow", "reason": "Searching", "shadow": seen | {"speedup": speedup}})
    row = text(trials_page([trial], NOW)).strip().splitlines()[1]
    assert f"  {told}  " in row
    page = text(explanation_page(a_policy(), trial, NOW))
    assert "chat-1: maxBatchSize 1→8 by PairedCanary, phase Shadow\nReason: Searching\n" in trimmed(page)
    assert f"In shadow: {told}\n" in trimmed(page)


def test_a_trial_that_compared_nothing_in_shadow_is_explained_without_a_word_of_it() -> None:
    page = text(explanation_page(a_policy(), a_trial(status={"phase": "RunIn"}), NOW))
    assert "phase RunIn" in page
    assert "shadow" not in page
    assert "Reason: \n" not in trimmed(page)
    assert "none is under way" in text(explanation_page(a_policy(), None, NOW))


def test_what_a_trial_measured_is_explained_while_it_is_taken_back() -> None:
    rows = [
        {"measure": "Throughput", "canary": "60", "unit": "answers/busy s", "effect": "0.6", "canarySamples": 90},
        {"measure": "Errors", "canary": "0.1", "stable": "0", "unit": "ratio", "canarySamples": 300},
    ]
    page = text(explanation_page(a_policy(), a_trial(status={"phase": "Reverting", "observed": rows}), NOW))
    shown = [line.split() for line in page.splitlines()]
    assert ["Throughput", "60", "Unknown", "answers/busy", "s", "0.6", "90", "0"] in shown
    assert ["Errors", "0.1", "0", "ratio", "-", "300", "0"] in shown


def trimmed(page: str) -> str:
    return "".join(f"{line.rstrip()}\n" for line in page.splitlines())


def test_the_columns_of_status_are_those_of_the_printer_columns() -> None:
    crd = (Path(__file__).parents[3] / "crds" / "optimizationpolicies.yaml").read_text()
    printed = [line.split("name: ")[1] for line in crd.split("additionalPrinterColumns:")[1].splitlines()[1:]
               if line.startswith("    - name: ")]  # fmt: skip
    header = text(policies_page([a_policy()], NOW)).strip().splitlines()[0].split()
    assert header == ["NAMESPACE", "NAME", *(name.upper() for name in printed)]
