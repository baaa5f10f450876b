"""The operator as a process on a real API server: election, stop, freeze, failover, health, rights to write nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from fakes.operator_process import Ground, eventually

from trimtab_api import SCHEMA_REVISION

RSS_LIMIT_KIB = 150 * 1024


def rss_kib(pid: int) -> int:
    with Path(f"/proc/{pid}/status").open() as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS:"))


def test_a_policy_is_worked_on_from_its_creation_to_its_end(ground: Ground) -> None:
    operator = ground.start("op")
    done = 'trimtab_operator_reconcile_total{outcome="ok"}'
    eventually(lambda: operator.metric(done) > 0, 30, "the first tick")
    assert ground.phase("p") == "Discovery"
    conditions = {row["type"]: (row["status"], row["reason"]) for row in ground.policy("p")["status"]["conditions"]}
    assert conditions["TargetResolved"][0] == "True"
    assert conditions["MetricsTrusted"][0] != "True"
    assert operator.fetch("/healthz") == (200, "ok\n")
    assert operator.fetch("/readyz") == (200, "ok\n")
    series = f'trimtab_policy_metrics_trusted{{namespace="{ground.targets}",policy="p"}}'
    assert series in operator.fetch("/metrics")[1]
    ground.api.kubectl("patch", "optpol", "p", "-n", ground.targets, "--type=merge", "-p", '{"spec":{"mode":"Paused"}}')
    eventually(lambda: operator.metric(done) > 1, 10, "the edit, by the watch")
    assert ground.policy("p")["status"]["observedGeneration"] == 2
    ground.api.kubectl("delete", "optpol", "p", "-n", ground.targets)
    eventually(lambda: series not in operator.fetch("/metrics")[1], 10, "the end of the policy's series")
    assert rss_kib(operator.process.pid) < RSS_LIMIT_KIB
    operator.send(signal.SIGTERM)
    assert operator.process.wait(15) == 0
    assert "Traceback" not in operator.log.read_text()


def test_one_of_two_leads_and_the_other_is_ready_and_takes_over_when_the_first_is_asked_to_stop(ground: Ground) -> None:
    first = ground.start("first")
    eventually(first.leads, 30, "the first leads")
    second = ground.start("second")
    eventually(lambda: second.fetch("/readyz")[0] == 200, 30, "the follower is ready")
    assert not second.leads()
    assert ground.holder().startswith("first_")
    first.send(signal.SIGTERM)
    eventually(second.leads, 5, "the second leads after a release")
    assert first.process.wait(15) == 0
    assert ground.holder().startswith("second_")


def test_a_killed_leaders_place_is_taken_within_its_lease_and_a_retry(ground: Ground) -> None:
    first = ground.start("first")
    eventually(first.leads, 30, "the first leads")
    second = ground.start("second")
    eventually(lambda: second.fetch("/readyz")[0] == 200, 30, "the follower is ready")
    first.send(signal.SIGKILL)
    killed_at = time.monotonic()
    eventually(second.leads, 20, "the second leads")
    assert time.monotonic() - killed_at < 4 + 3 * 0.5 + 2
    ground.api.kubectl("patch", "optpol", "p", "-n", ground.targets, "--type=merge", "-p", '{"spec":{"mode":"Paused"}}')
    eventually(lambda: ground.policy("p")["status"].get("observedGeneration") == 2, 15, "the second works")


def test_a_leader_that_was_stopped_writes_nothing_when_it_goes_on_and_leaves(ground: Ground) -> None:
    first = ground.start("first")
    eventually(lambda: first.leads() and ground.phase("p"), 30, "the first works")
    first.send(signal.SIGSTOP)
    second = ground.start("second")
    eventually(second.leads, 30, "the second leads")
    ground.api.kubectl("patch", "optpol", "p", "-n", ground.targets, "--type=merge", "-p", '{"spec":{"mode":"Paused"}}')
    eventually(lambda: ground.policy("p")["status"].get("observedGeneration") == 2, 15, "the second works")
    managed = json.loads(ground.api.kubectl("get", "lease", "trimtab-operator", "-n", ground.system, "-o", "json"))[
        "spec"
    ]
    first.send(signal.SIGCONT)
    assert first.process.wait(15) == 1
    log = [json.loads(line) for line in first.log.read_text().splitlines()]
    assert log[-1]["message"] == "stopped"
    assert "leadership lost" in [line["message"] for line in log]
    later = json.loads(ground.api.kubectl("get", "lease", "trimtab-operator", "-n", ground.system, "-o", "json"))[
        "spec"
    ]
    assert later["holderIdentity"] == managed["holderIdentity"]
    assert later["leaseTransitions"] == managed["leaseTransitions"]
    assert second.leads()


def test_readiness_names_the_command_where_the_schema_is_another(ground: Ground) -> None:
    crd = "optimizationtrials.trimtab.dev"
    operator = ground.start("op")
    eventually(lambda: operator.fetch("/readyz")[0] == 200, 30, "ready")
    ground.api.kubectl("annotate", "crd", crd, "trimtab.dev/schema-revision=older", "--overwrite")
    try:
        stale = ground.start("other")
        eventually(lambda: crd in stale.fetch("/readyz")[1], 30, "not ready, by the name of the CRD")
        status, text = stale.fetch("/readyz")
        assert status == 503
        assert "kubectl apply --server-side -f crds/" in text
        assert stale.fetch("/healthz")[0] == 200
    finally:
        ground.api.kubectl("annotate", "crd", crd, f"trimtab.dev/schema-revision={SCHEMA_REVISION}", "--overwrite")


def test_a_process_with_a_wrong_setting_ends_with_its_name(ground: Ground) -> None:
    operator = ground.start("op", TRIMTAB_PORT="http")
    assert operator.process.wait(20) == 2
    assert "TRIMTAB_PORT='http': must be a number" in operator.log.read_text()


def test_a_process_without_a_cluster_ends_and_says_what_is_missing() -> None:
    environ = {"PATH": os.environ["PATH"], "TRIMTAB_PROMETHEUS_URL": "http://prometheus:9090"}
    done = subprocess.run(
        [sys.executable, "-m", "trimtab_operator"], env=environ, capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 2
    assert "run in a pod, or set KUBECONFIG" in done.stderr
