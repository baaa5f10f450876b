"""The documentation says what the code does: settings, states, errors, metrics, and the snippet that attaches."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from trimtab_api.engine_knobs import ENGINE_KNOBS, Knob
from trimtab_api.wire import AUDIENCE, CA_CONFIG_MAP, CA_KEY, PORT, SERVICE
from trimtab_engine.agent_link.values import declared_knobs
from trimtab_engine.errors import TooManyConnections
from trimtab_engine.metric_table import METRICS
from trimtab_engine.metrics import AgentState
from trimtab_engine.routes.openapi import reasons
from trimtab_engine.settings import read_settings

DOCS = Path(__file__).parents[3] / "docs"
REFERENCE = (DOCS / "reference/engine.md").read_text()
ATTACH = (DOCS / "how-to/attach-engine.md").read_text()


def rows(page: str, heading: str) -> dict[str, list[str]]:
    """The first table under a heading, by its first column."""
    lines = page.split(f"\n{heading}\n", 1)[1].splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("|---"))
    found = {}
    for line in lines[start + 1 :]:
        if not line.startswith("|"):
            break
        first, *others = [cell.strip().replace("`", "") for cell in line.strip("|").split("|")]
        found[first] = others
    return found


def test_the_table_of_live_settings_is_that_of_the_knobs() -> None:
    table = rows(REFERENCE, "## Live settings")
    assert list(table) == list(Knob)
    for knob in declared_knobs():
        _, low, high, cost, meaning = table[knob["setting"]]
        if "allowed" in knob:
            assert low.split(", ")[: len(knob["allowed"])] == knob["allowed"]
        else:
            assert (low, high) == (knob["low"], knob["high"])
        assert cost == knob["cost"]
        assert meaning == ENGINE_KNOBS[Knob(knob["setting"])].meaning


def test_the_page_describes_every_state_of_the_link() -> None:
    assert list(rows(REFERENCE, "## The link to the agent")) == [state.value for state in AgentState]


def test_the_page_lists_every_variable_that_is_read() -> None:
    read = set(re.findall(r"TRIMTAB_[A-Z_]+", (DOCS.parent / "agent/trimtab_engine/settings.py").read_text()))
    listed = set(re.findall(r"TRIMTAB_[A-Z_]+", " ".join(rows(REFERENCE, "## Settings"))))
    assert read == listed


def test_the_page_lists_every_refusal_with_its_status_and_outcome_and_no_other() -> None:
    listed = {
        (int(status), name, outcome.strip(" `"))
        for status, names, outcome in re.findall(r"^\| (\d{3}) \|([^|]+)\|[^|]*\|([^|]+)\|$", REFERENCE, re.MULTILINE)
        for name in re.findall(r"`(\w+)`", names)
    }
    outcomes = {kind: kind.outcome.value for kind in reasons()} | {TooManyConnections: "not counted"}
    assert listed == {(kind.status, kind.__name__, outcome) for kind, outcome in outcomes.items()}


def test_the_defaults_of_the_page_are_those_of_the_engine() -> None:
    defaults: dict[str, str] = {}
    for names, default in re.findall(r"^\| ([^|]*TRIMTAB_[^|]*) \| ([^|]*) \|", REFERENCE, re.MULTILINE):
        defaults |= zip(re.findall("TRIMTAB_[A-Z_]+", names), re.findall("`([^`]+)`", default), strict=False)
    set_anyway = {"TRIMTAB_MODEL": "package:m", "TRIMTAB_AGENT_URL": "https://agent:9443"}
    assert len(defaults) > 20
    assert read_settings(defaults | set_anyway) == read_settings(set_anyway)


def test_the_page_describes_every_metric_with_its_type_and_labels_and_no_other() -> None:
    described: dict[str, tuple[str, set[str]]] = {}
    for names, (kind, labels, _) in rows(REFERENCE, "## Metrics").items():
        words = set(re.findall(r"[a-z_]+", labels))
        has_model = words.isdisjoint({"only", "none"})
        for name in names.split(", "):
            described[name] = kind.replace(" ", ""), words - {"only", "none"} | ({"model"} if has_model else set())
    del described["process_*"]
    assert described == {spec.name: (spec.type, set(spec.labels)) for spec in METRICS}


def snippet() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(ATTACH.split("```yaml\n", 1)[1].split("```", 1)[0])["spec"]["template"][
        "spec"
    ]
    return found


def test_an_engine_with_the_snippet_finds_what_the_snippet_mounts() -> None:
    (container,), (volume,) = snippet()["containers"], snippet()["volumes"]
    environ = {variable["name"]: variable["value"] for variable in container["env"]}
    agent = read_settings({"TRIMTAB_MODEL": "package:m", **environ}).agent
    assert agent is not None
    assert (agent.host.split(".")[0], agent.port) == (SERVICE, PORT)
    (mount,) = container["volumeMounts"]
    assert mount["name"] == volume["name"]
    token, ca = volume["projected"]["sources"]
    assert token["serviceAccountToken"]["audience"] == AUDIENCE
    assert f"{mount['mountPath']}/{token['serviceAccountToken']['path']}" == agent.token_file
    assert (ca["configMap"]["name"], ca["configMap"]["optional"]) == (CA_CONFIG_MAP, True)
    (item,) = ca["configMap"]["items"]
    assert item["key"] == CA_KEY
    assert f"{mount['mountPath']}/{item['path']}" == agent.ca_file
