"""An int8 plan for the real model: wished for while requests run, found, gated, swapped in; answers never mixed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import ANY

import numpy as np
import pytest
from contract.engine.conftest import EngineFactory, listening_agent
from contract.engine.pruned_model import a_pruned_model
from contract.engine.running_engine import start_in_vain, v2_body
from contract.engine.variant_clients import BATCHING_NOISE, SENTENCES, Clients, references
from fakes.engine_agent import EngineAgent, a_document

from trimtab_agent.engines.reports import read_report

# In each set. The 256 of the default, which the bench keeps, need some 900 distinct sentences to fill three sets, and
# sixteen times as many passes for each step of search and gate: minutes where this takes seconds.
INPUTS = "16"


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[EngineAgent]:
    """One for each test: its reports are those of the test's engine."""
    with listening_agent(tmp_path, {}) as agent:
        yield agent


def test_an_int8_plan_is_found_gated_and_swapped_in_under_requests_and_taken_back(
    start_engine: EngineFactory, agent: EngineAgent
) -> None:
    engine = start_engine(TRIMTAB_CAPTURE_INPUTS=INPUTS, **agent.environment)
    expected = dict([references(engine)])
    with Clients(engine) as clients:
        agent.serve(a_document({"quantization": "Int8", "minAccuracy": "0.98"}, generation=2))
        engine.wait_for(lambda: [e for e in engine.events("variant") if e["phase"] in ("InForce", "Refused")], 200)
        standing = engine.events("variant")[-1]
        assert standing["phase"] == "InForce", str(standing)  # whole: a dictionary would be cut
        assert standing["accuracy_low"] >= 0.98
        assert standing["speedup_low"] > 1.0
        assert 0 < standing["layers"] < 37
        version, vectors = references(engine)
        assert version == f"1/{standing['in_force']}"
        expected[version] = vectors
        shares = engine.metric("trimtab_engine_layer_time_ratio")
        assert shares == pytest.approx(1.0), "the search began with a profile"
        agent.serve(a_document({}, generation=3))
        engine.wait_for(lambda: len(agent.reports) and agent.reports[-1].body["applied"]["quantization"] == "None", 10)
        engine.wait_for(lambda: engine.infer(v2_body(["x"])).headers["trimtab-version"] == "1/base", 10)

    assert clients.failed == []
    assert set(clients.answers) == set(expected)
    base, variant = expected["1/base"], vectors
    assert np.abs(base - variant).max(axis=1).min() > 10 * BATCHING_NOISE, "the two are told apart"
    for number, vector in clients.answers["1/base"]:
        np.testing.assert_allclose(vector, base[number], rtol=0, atol=BATCHING_NOISE)
    for number, vector in clients.answers[version]:  # what another batch changes may round an activation otherwise
        assert np.linalg.norm(vector - variant[number]) < np.linalg.norm(vector - base[number])


def test_a_declared_model_is_offered_gated_by_the_same_measure_swapped_in_and_taken_back(
    start_engine: EngineFactory, agent: EngineAgent, tmp_path: Path
) -> None:
    pruned = a_pruned_model(tmp_path / "pruned", num_hidden_layers=5)
    variants = f"five-layers={pruned.directory}"
    engine = start_engine(TRIMTAB_CAPTURE_INPUTS=INPUTS, TRIMTAB_VARIANTS=variants, **agent.environment)
    for sentence in SENTENCES:
        engine.infer(v2_body([sentence]))
    engine.wait_for(lambda: agent.reports, 10)
    knobs = {knob["setting"]: knob for knob in agent.reports[-1].body["knobs"]}
    assert knobs["variant"]["allowed"] == ["base", "five-layers"]
    agent.serve(a_document({"variant": "five-layers", "minAccuracy": "0.99"}, generation=2))
    engine.wait_for(lambda: [e for e in engine.events("variant") if e["phase"] in ("InForce", "Refused")], 60)
    refused = engine.events("variant")[-1]
    assert refused["phase"] == "Refused", str(refused)
    assert refused["reason"].startswith("AccuracyTooLow: ")
    assert engine.infer(v2_body(["x"])).headers["trimtab-version"] == "1/base"
    engine.wait_for(lambda: agent.reports[-1].body["refused"], 40)
    assert read_report(json.dumps(agent.reports[-1].body).encode())["shadowed"] == [
        {"setting": "variant", "value": "five-layers", "accuracyLow": ANY, "minAccuracy": "0.99", "inputs": ANY}
    ]
    agent.serve(a_document({"variant": "five-layers", "minAccuracy": "0.1"}, generation=3))
    engine.wait_for(lambda: [e for e in engine.events("variant") if e["phase"] == "InForce"], 60)
    assert engine.infer(v2_body(["x"])).headers["trimtab-version"] == "1/five-layers"
    engine.wait_for(lambda: agent.reports[-1].body["applied"]["variant"] == "five-layers", 40)
    row = read_report(json.dumps(agent.reports[-1].body).encode())["shadowed"][0]
    assert 0.1 <= float(row["accuracyLow"]) < 0.99
    assert (row["minAccuracy"], row["inputs"] >= 2 * int(INPUTS)) == ("0.1", True)
    assert float(row["speedup"]) > 0.9, "a sixth of the layers is gone"
    agent.serve(a_document({}, generation=4))
    engine.wait_for(lambda: engine.infer(v2_body(["x"])).headers["trimtab-version"] == "1/base", 10)


def test_a_declared_model_of_another_width_ends_the_start_with_what_differs(tmp_path: Path) -> None:
    pruned = a_pruned_model(tmp_path / "pruned", hidden_size=128)
    done = start_in_vain(TRIMTAB_VARIANTS=f"narrow={pruned.directory}")
    assert done.returncode == 2
    assert "narrow gives 128 numbers per input, the original 384" in done.stderr
