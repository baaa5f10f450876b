"""What the API server makes of our kinds: defaults, columns, status, versions, strictness."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import pytest
import yaml

from trimtab_api import API_VERSION, SCHEMA_REVISION, OptimizationPolicy, OptimizationTrial
from trimtab_api.base import ApiModel
from trimtab_api.conditions import REASONS, Condition, ConditionStatus
from trimtab_api.engine_settings import EngineSettings
from trimtab_api.findings import (
    Baseline,
    Bottleneck,
    BottleneckKind,
    Constraint,
    Evidence,
    Measure,
    ObjectiveResult,
    ObjectiveState,
    Peak,
    Saving,
    SavingReference,
    ScorecardRow,
    ScoreState,
    Stage,
)
from trimtab_api.kinds import KINDS, REVISION_ANNOTATION
from trimtab_api.objectives import ObjectiveName
from trimtab_api.policy_status import (
    HistoryEntry,
    HistorySummary,
    Intent,
    IntentKind,
    LastKnownGood,
    LedgerEvent,
    Phase,
    PolicyStatus,
    ReplicasStatus,
    SettingsChange,
    Tuning,
)
from trimtab_api.trial import Observed, TrialPhase, TrialStatus, Verdict

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
UID = "0b9dd6f5-9fb1-4b39-9c34-8a2d0c1f3a11"
GOOD = Path(__file__).parent / "good"


class ApiServer(Protocol):
    """What the shared fixture offers."""

    def kubectl(self, *args: str, input: str | None = None) -> str: ...  # noqa: A002


def a_policy(name: str, **spec: object) -> str:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "minilm"}
    body = {
        "apiVersion": API_VERSION,
        "kind": "OptimizationPolicy",
        "metadata": {"name": name},
        "spec": {"targetRef": target, **spec},
    }
    return json.dumps(body)


def stored(api_server: ApiServer, namespace: str, kind: str, name: str) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(api_server.kubectl("get", kind, name, "-n", namespace, "-o", "json"))
    return body


def a_full_policy_status() -> PolicyStatus:
    evidence = (
        Evidence(signal="queue", query='max(up{job="x"})', value="12.5", unit="requests", at=NOW, samples=40),
        Evidence(signal="gpu", unit="ratio", at=NOW),
    )
    objective = ObjectiveResult(
        name=ObjectiveName.LATENCY,
        value="183ms",
        limit="200ms",
        met=ObjectiveState.MET,
        reason="",
        samples=9,
        since=NOW,
    )
    return PolicyStatus(
        observed_generation=3,
        phase=Phase.VALIDATION,
        phase_since=NOW,
        objectives_summary="1/1",
        bottleneck_summary="Queue",
        replicas_summary="2→4",
        saving_summary="37%",
        trusted_summary="True",
        conditions=tuple(
            Condition(
                type=each,
                status=ConditionStatus.TRUE,
                reason=next(iter(reasons)),
                message="because",
                last_transition_time=NOW,
                observed_generation=3,
            )
            for each, reasons in REASONS.items()
        ),
        replicas=ReplicasStatus(current=2, desired=4, uncapped=6, reason="queue", at=NOW),
        intent=Intent(id="s-1", kind=IntentKind.SCALE, from_="2", to="4", reason="queue", evidence=evidence, at=NOW),
        baseline=Baseline(
            from_=NOW,
            to=NOW,
            requests=1000,
            requests_per_second="3.25",
            gpu_utilization_ratio="0.5",
            cost_per_hour="2.5",
            objectives=(objective,),
            peaks=(Peak(signal="cpu", value="0.99", unit="ratio", at=NOW),),
        ),
        bottleneck=Bottleneck(
            kind=BottleneckKind.COMPUTE,
            confidence="0.9",
            evidence=evidence,
            stage=Stage(name="GPU 3", active_ratio="0.95", others_ratio="0.5"),
            runner_up=BottleneckKind.CPU,
            since=NOW,
        ),
        constraints=(Constraint(name="QuantizationNotAvailable", reason="not declared by the engine"),),
        objectives=(objective,),
        scorecard=tuple(
            ScorecardRow(measure=each, reference="> 85%", state=ScoreState.NOT_MEASURED, reason="no GPU", samples=0)
            for each in Measure
        ),
        saving=Saving(ratio="-0.05", against=SavingReference.MAX_REPLICAS, since=NOW),
        tuning=Tuning(
            settings=EngineSettings(max_batch_size=8),
            trial="minilm-2",
            change=SettingsChange(
                trial="minilm-3", settings=EngineSettings(max_batch_size=64), pods=(UID,), expires_at=NOW
            ),
        ),
        current_trial="minilm-3",
        last_known_good=LastKnownGood(settings=EngineSettings(max_batch_size=8), trial="minilm-2", at=NOW),
        history=tuple(
            HistoryEntry(id=f"s-{at}", at=NOW, what=LedgerEvent.SCALED, from_="1", to="2", why="queue")
            for at in range(20)
        ),
        history_summary=HistorySummary(count=5, since=NOW, until=NOW, scaled=5),
    )


def test_a_full_policy_status_is_read_back_as_it_was_written(api_server: ApiServer, namespace: str) -> None:
    status = a_full_policy_status()
    assert [name for name in PolicyStatus.model_fields if getattr(status, name) in (None, (), "", "Unknown")] == []
    api_server.kubectl("apply", "-n", namespace, "-f", "-", input=a_policy("full-status"))
    body = stored(api_server, namespace, "optpol", "full-status") | {"status": status.to_body()}
    said = api_server.kubectl("replace", "--subresource=status", "-n", namespace, "-f", "-", input=json.dumps(body))
    assert "replaced" in said
    again = stored(api_server, namespace, "optpol", "full-status")
    assert OptimizationPolicy.model_validate(again).status == status
    assert again["status"] == status.to_body()


def test_a_full_trial_status_is_read_back_as_it_was_written(api_server: ApiServer, namespace: str) -> None:
    status = TrialStatus(
        observed_generation=1,
        phase=TrialPhase.FINISHED,
        observed=(
            Observed(
                measure=Measure.THROUGHPUT,
                canary="12",
                stable="7",
                unit="requests/s",
                effect="0.71",
                low="0.5",
                high="0.9",
            ),
        ),
        observed_summary="throughput +71%",
        verdict=Verdict.IMPROVED,
        reason="better by more than minEffect",
        violations=1,
        changed=(UID,),
        changed_at=NOW,
        looks=2,
        approved_by="kubectl",
        started_at=NOW,
        measured_from=NOW,
        ended_at=NOW,
    )
    api_server.kubectl("apply", "-n", namespace, "-f", str(GOOD / "trial.yaml"))
    body = stored(api_server, namespace, "opttrial", "trial") | {"status": status.to_body()}
    api_server.kubectl("replace", "--subresource=status", "-n", namespace, "-f", "-", input=json.dumps(body))
    again = stored(api_server, namespace, "opttrial", "trial")
    assert OptimizationTrial.model_validate(again).status == status


def test_columns_of_a_new_policy_are_never_blank(api_server: ApiServer, namespace: str) -> None:
    api_server.kubectl("apply", "-n", namespace, "-f", "-", input=a_policy("fresh"))
    head, row = api_server.kubectl("get", "optpol", "fresh", "-n", namespace).splitlines()
    assert head.split() == ["NAME", "PHASE", "MODE", "OBJECTIVES", "BOTTLENECK", "REPLICAS", "SAVING", "TRUSTED", "AGE"]
    unknown = ["Unknown"] * 5
    assert row.split()[:-1] == ["fresh", "Unknown", "Recommend", *unknown]


def test_columns_of_a_new_trial_are_never_blank(api_server: ApiServer, namespace: str) -> None:
    text = (GOOD / "trial.yaml").read_text().replace("name: trial\n", "name: fresh-1\n")
    api_server.kubectl("apply", "-n", namespace, "-f", "-", input=text)
    head, row = api_server.kubectl("get", "opttrial", "fresh-1", "-n", namespace).splitlines()
    assert head.split() == ["NAME", "POLICY", "CHANGE", "DESIGN", "PREDICTED", "OBSERVED", "VERDICT", "AGE"]
    assert row.split()[-3:-1] == ["Unknown", "Unknown"]


def test_the_status_of_a_manifest_is_ignored_and_no_status_write_touches_the_spec(
    api_server: ApiServer, namespace: str
) -> None:
    body = json.loads(a_policy("two-writers")) | {"status": {"phase": "Validation"}}
    api_server.kubectl("apply", "-n", namespace, "-f", "-", input=json.dumps(body))
    before = stored(api_server, namespace, "optpol", "two-writers")
    assert before["status"]["phase"] == "Unknown"
    forged = before | {"status": {"phase": "Analysis"}, "spec": before["spec"] | {"mode": "Apply"}}
    api_server.kubectl("replace", "--subresource=status", "-n", namespace, "-f", "-", input=json.dumps(forged))
    after = stored(api_server, namespace, "optpol", "two-writers")
    assert (after["status"]["phase"], after["spec"]["mode"]) == ("Analysis", "Recommend")
    assert after["metadata"]["generation"] == before["metadata"]["generation"]


def test_an_approval_is_added_to_a_stored_trial_by_a_merge_patch(api_server: ApiServer, namespace: str) -> None:
    text = (GOOD / "trial.yaml").read_text().replace("name: trial\n", "name: approve-1\n")
    api_server.kubectl("apply", "-n", namespace, "-f", "-", input=text)
    approve = ("patch", "opttrial", "approve-1", "-n", namespace, "--type=merge", "-p")
    api_server.kubectl(*approve, '{"spec":{"approval":"Approved"}}')
    assert stored(api_server, namespace, "opttrial", "approve-1")["spec"]["approval"] == "Approved"
    with pytest.raises(AssertionError, match="write-once"):
        api_server.kubectl(*approve, '{"spec":{"approval":null}}')


def test_a_second_write_with_a_stale_resource_version_is_refused(api_server: ApiServer, namespace: str) -> None:
    api_server.kubectl("apply", "-n", namespace, "-f", "-", input=a_policy("race"))
    seen = stored(api_server, namespace, "optpol", "race")
    for phase in ("Discovery", "Analysis"):
        write = json.dumps(seen | {"status": {"phase": phase}})
        arguments = ("replace", "--subresource=status", "-n", namespace, "-f", "-")
        if phase == "Discovery":
            api_server.kubectl(*arguments, input=write)
        else:
            with pytest.raises(AssertionError, match="the object has been modified"):
                api_server.kubectl(*arguments, input=write)


def test_the_server_itself_refuses_an_unknown_field_under_strict_validation(
    api_server: ApiServer, namespace: str
) -> None:
    path = f"/apis/{API_VERSION}/namespaces/{namespace}/optimizationpolicies?fieldValidation=Strict"
    with pytest.raises(AssertionError, match=r'unknown field \\?"spec.autopilot\\?"'):
        api_server.kubectl("create", "--raw", path, "-f", "-", input=a_policy("strict", autopilot=True))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_crd_is_stored_with_our_revision_and_answers_to_its_short_name(api_server: ApiServer, kind: Any) -> None:
    crd = json.loads(api_server.kubectl("get", "crd", kind.crd_name, "-o", "json"))
    assert crd["metadata"]["annotations"][REVISION_ANNOTATION] == SCHEMA_REVISION
    status = {each["type"]: each["status"] for each in crd["status"]["conditions"]}
    assert status.get("NonStructuralSchema", "False") == "False"
    explained = api_server.kubectl("explain", f"{kind.short_name}.spec")
    assert kind.name in explained
    assert "<no description>" not in explained


def test_all_kinds_are_listed_by_their_category(api_server: ApiServer, namespace: str) -> None:
    api_server.kubectl("apply", "-n", namespace, "-f", "-", input=a_policy("listed"))
    assert "optimizationpolicy.trimtab.dev/listed" in api_server.kubectl(
        "get", "trimtab", "-n", namespace, "-o", "name"
    )


def test_applying_the_crds_again_changes_nothing(api_server: ApiServer) -> None:
    files = sorted(Path(__file__).parents[3].joinpath("crds").glob("*.yaml"))
    name = yaml.safe_load(files[0].read_text())["metadata"]["name"]
    versions = []
    for _ in range(2):
        api_server.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(files[0]))
        crd = json.loads(api_server.kubectl("get", "crd", name, "-o", "json"))
        versions.append(crd["metadata"]["generation"])
    assert versions[0] == versions[1]


def test_every_model_names_the_served_version() -> None:
    models: list[type[ApiModel]] = [kind.model for kind in KINDS]
    assert {model.model_fields["api_version"].default for model in models} == {API_VERSION}
