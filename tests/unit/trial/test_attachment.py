"""The condition EngineAttached."""

from __future__ import annotations

import json
from typing import Any

import pytest
from fakes.builders import a_pod, a_reading, a_target, an_engine
from fakes.stands import a_tuned_policy, a_tuned_snapshot, attached_target, engines

from trimtab_api.wire import AUDIENCE, CA_CONFIG_MAP, CA_KEY
from trimtab_operator.model.signals import Signal, SignalState
from trimtab_operator.model.snapshot import Target
from trimtab_operator.trial.attachment import attachment

AGENT, UNTRUSTED = Signal.CPU_USED_CORES, Signal.AGENT_UNTRUSTED
AWAY = {"engines": engines(None, an_engine(pod="chat-1", attached=False))}
SILENT = {"engines": engines(None)}
LOST = a_reading(AGENT, {}, message="no series")
STALE = a_reading(AGENT, {"chat-0": 0.5}, state=SignalState.STALE)
THERE = a_reading(AGENT, {"chat-0": 0.5})
PAUSED = {"policy": a_tuned_policy(mode="Paused")}

CASES: list[tuple[str, dict[str, Any], tuple[str, str, str]]] = [
    ("attached", {}, ("True", "Attached", "2 engines take settings")),
    ("no-token", {"target": a_target()}, ("False", "NoTokenVolume", "kubectl -n prod patch deployment chat")),
    ("no-pod-serves", {"target": a_target(pods=(a_pod(ready=False),))}, ("Unknown", "Attaching", "before mode Apply")),
    ("paused", AWAY | PAUSED, ("Unknown", "Attaching", "asked for nothing before mode Apply")),
    ("one-is-away", AWAY, ("False", "Attaching", "1 of 2 engines have not asked for settings yet, first chat-1")),
    ("one-was-never-seen", SILENT, ("False", "Attaching", "first chat-1")),
    ("said-nothing-yet", {"engines": engines(None, an_engine(pod="chat-1", applied=None))},
     ("False", "Attaching", "first chat-1")),
    ("agent-there", AWAY | {"readings": {AGENT: THERE}}, ("False", "Attaching", "first chat-1")),
    ("agent-lost", AWAY | {"readings": {AGENT: LOST}}, ("False", "AgentLost", "no series")),
    ("agent-stale", AWAY | {"readings": {AGENT: STALE}}, ("False", "AgentLost", "no agent reports")),
    ("untrusted", AWAY | {"readings": {UNTRUSTED: a_reading(UNTRUSTED, {"chat-1": 1.0}), AGENT: LOST}},
     ("False", "AgentUntrusted", "trimtab-ca is not mounted")),
    ("trusted", AWAY | {"readings": {UNTRUSTED: a_reading(UNTRUSTED, {"chat-1": 0.0})}},
     ("False", "Attaching", "first chat-1")),
]  # fmt: skip


def attached(*, policy: Any = None, **snapshot: Any) -> tuple[str, str, str]:
    seen = a_tuned_snapshot(**snapshot)
    assert isinstance(seen.target, Target)
    return attachment(seen, seen.target, policy or a_tuned_policy())


@pytest.mark.parametrize(("fields", "expected"), [pytest.param(*case[1:], id=case[0]) for case in CASES])
def test_a_person_reads_whether_engines_take_settings_and_what_is_missing(
    fields: dict[str, Any], expected: tuple[str, str, str]
) -> None:
    status, reason, message = attached(**fields)
    assert (status, reason) == expected[:2]
    assert expected[2] in message


def test_the_advice_is_a_patch_that_attaches_the_pods() -> None:
    _, _, message = attached(target=a_target(), agent_namespace="tuning")
    pod = json.loads(message.split("-p '")[1].split("'")[0])["spec"]["template"]["spec"]
    (container,), (volume,) = pod["containers"], pod["volumes"]
    assert container == {
        "name": "server",
        "env": [{"name": "TRIMTAB_AGENT_URL", "value": "https://trimtab-agent.tuning.svc:9443"}],
        "volumeMounts": [{"name": volume["name"], "mountPath": "/var/run/trimtab", "readOnly": True}],
    }
    token, trust = volume["projected"]["sources"]
    assert token == {"serviceAccountToken": {"audience": AUDIENCE, "expirationSeconds": 600, "path": "token"}}
    key = {"key": CA_KEY, "path": CA_KEY}
    assert trust == {"configMap": {"name": CA_CONFIG_MAP, "optional": True, "items": [key]}}
    assert message == (
        "the pods mount no token for the agents of their nodes; attach them with: kubectl -n prod patch deployment "
        f"chat --type strategic -p '{_patch_in(message)}' (in the manifest: docs/how-to/attach-engine.md)"
    )
    assert ": " not in _patch_in(message), "as short as it can be, for it is pasted"


def _patch_in(message: str) -> str:
    return message.split("-p '")[1].split("'", maxsplit=1)[0]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        pytest.param(AWAY | PAUSED, "engines are asked for nothing before mode Apply acts on them", id="paused"),
        pytest.param(
            AWAY | {"readings": {UNTRUSTED: a_reading(UNTRUSTED, {"chat-0": 0.0, "chat-1": 0.5})}},
            "an engine does not trust its node's agent: ConfigMap trimtab-ca is not mounted, or not read yet",
            id="untrusted by one",
        ),
        pytest.param({}, "2 engines take settings from the agents of their nodes", id="attached"),
    ],
)
def test_the_sentence_says_what_to_look_at(fields: dict[str, Any], message: str) -> None:
    assert attached(**fields)[2] == message


def test_the_condition_holds_for_as_many_pods_as_there_are() -> None:
    assert attached(target=attached_target(5))[2].startswith("5 engines")
