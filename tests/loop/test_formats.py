"""Number formats in the loop: searched and gated by one engine first, measured beside the others, then rolled out."""

from __future__ import annotations

from typing import Any

import pytest
from fakes.tuned_stage import TRIAL, Tuned

from trimtab_operator.kube.resources import PODS
from trimtab_operator.model.signals import Signal

OBJECTIVES = {"accuracyRatio": {"min": "0.98"}}
AGREEMENT = 0.9905
FIGURES = {"accuracyLow": "0.9871", "minAccuracy": "0.98", "inputs": 512, "speedup": "1.312"}
SEEN = {"setting": "quantization", "value": "Int8", **FIGURES}


class Formatted(Tuned):
    """Engines that offer Int8 and search it for a minute."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.fleet.started |= {"quantization": "None", "variant": "base"}
        self.fleet.words = {"quantization": ["None", "Int8"], "variant": ["base"]}
        self.fleet.searches_seconds = 60.0
        self.fleet.figures["quantization", "Int8"] = FIGURES
        self.prometheus.per_pod[Signal.ACCURACY_RATIO] = self._agreement_of

    def allow_int8(self, **spec: Any) -> None:
        knobs = {"quantization": {"allowed": ["Int8"]}}
        self.tune(**{"knobs": knobs, "objectives": OBJECTIVES, "trial": TRIAL, **spec})

    def _agreement_of(self, pod: str, at: float) -> float | None:
        return AGREEMENT if self.fleet.settings(pod, at).get("quantization") == "Int8" else None

    def formats(self) -> list[str]:
        names = [body["metadata"]["name"] for body in self.kube.all(PODS)]
        return sorted(self.fleet.settings(name)["quantization"] for name in names)

    def accuracy(self) -> tuple[str, str]:
        row = next(row for row in self.status()["scorecard"] if row["measure"] == "Accuracy")
        return row["value"], row["state"]

    def constraint(self, name: str) -> str | None:
        return next((each["reason"] for each in self.status()["constraints"] if each["name"] == name), None)


@pytest.fixture
def stage() -> Formatted:
    return Formatted()


async def test_a_format_is_compared_in_shadow_in_one_pod_measured_and_kept_and_its_accuracy_is_in_the_scorecard(
    stage: Formatted,
) -> None:
    stage.allow_int8()
    trial = await stage.run_to("Shadow")
    assert trial["spec"]["changeSummary"] == "quantization None→Int8"
    assert trial["spec"]["canary"]["minAccuracy"] == "0.98"
    await stage.run(50)
    status = stage.trials()[-1]["status"]
    assert (status["phase"], status.get("shadow")) == ("Shadow", None)
    assert status["reason"].endswith("; quantization Int8: Searching")
    assert stage.formats() == ["None", "None"]
    assert stage.accuracy() == ("1", "Met")
    trial = await stage.run_to("Measuring")
    assert (trial["status"]["shadow"], trial["status"]["reason"]) == (SEEN, "")
    assert stage.formats() == ["Int8", "None"]
    trial = await stage.run_to("Finished")
    assert trial["status"]["verdict"] == "Improved", trial["status"]
    assert trial["status"]["shadow"] == SEEN
    await stage.run(60)
    assert stage.formats() == ["Int8", "Int8"]
    assert stage.accuracy() == ("0.991", "Met")


async def test_a_format_that_the_gate_refuses_ends_in_shadow_with_the_figures_and_answers_nothing(
    stage: Formatted,
) -> None:
    stage.fleet.refuses["quantization", "Int8"] = "AccuracyTooLow: gate: 0.9712 with a lower 95 % bound of 0.9700"
    stage.fleet.figures["quantization", "Int8"] = FIGURES | {"accuracyLow": "0.97", "inputs": 256}
    stage.allow_int8()
    status = (await stage.run_to("Finished"))["status"]
    assert status["verdict"] == "FailedToStart"
    assert status["shadow"] == SEEN | {"accuracyLow": "0.97", "inputs": 256}
    assert "measuredFrom" not in status
    await stage.run(60)
    assert stage.formats() == ["None", "None"]


async def test_engines_of_an_older_version_tell_no_figures_and_their_format_is_tried_all_the_same(
    stage: Formatted,
) -> None:
    stage.fleet.figures.clear()
    stage.allow_int8()
    trial = await stage.run_to("Finished")
    assert trial["status"]["verdict"] == "Improved", trial["status"]
    assert "shadow" not in trial["status"]


@pytest.mark.parametrize(
    ("said", "is_of_the_machine"),
    [
        pytest.param("NoFormat: Int8 is not available here: int8_dynamic onednn: AttributeError", True, id="no kernel"),
        pytest.param("NotFaster: no kind of layer is faster in Int8 on this device", True, id="emulated"),
        pytest.param("NotFaster: the best plan (3 layers) is 0.990 times as fast", False, id="not worth it"),
        pytest.param("AccuracyTooLow: gate: 0.9712 with a lower 95 % bound of 0.9700", False, id="inaccurate"),
    ],
)
async def test_what_the_engine_says_of_its_machine_stands_in_the_constraints(
    stage: Formatted, said: str, is_of_the_machine: bool
) -> None:
    stage.fleet.refuses["quantization", "Int8"] = said
    stage.allow_int8()
    trial = await stage.run_to("Finished")
    assert trial["status"]["verdict"] == "FailedToStart"
    assert said in trial["status"]["reason"]
    await stage.run(60)
    assert stage.formats() == ["None", "None"]
    found = stage.constraint("HardwareMismatch")
    assert (found is not None) is is_of_the_machine
    assert found is None or said in found
    assert stage.condition("Ready")[0] == "True"


async def test_a_format_that_no_engine_offers_is_a_constraint_and_is_never_tried(stage: Formatted) -> None:
    stage.fleet.words = {"quantization": ["None"], "variant": ["base"]}
    stage.allow_int8()
    await stage.run(900)
    assert stage.trials() == []
    assert "Int8" in str(stage.constraint("HardwareMismatch"))


async def test_a_format_that_the_engine_takes_back_because_answers_drift_ends_the_trial_with_its_words(
    stage: Formatted,
) -> None:
    stage.allow_int8()
    await stage.run_to("Measuring")
    stage.fleet.take_back("quantization", "Int8", "None", "AccuracyLost: 0.9612 on the last 256 answers")
    trial = await stage.run_to("Finished")
    assert (trial["status"]["verdict"], trial["status"]["violations"]) == ("Regressed", 1)
    assert "took the change back: quantization Int8: AccuracyLost: 0.9612" in trial["status"]["reason"]
    assert stage.formats() == ["None", "None"]


async def test_the_costliest_layers_stand_beside_the_bottleneck(stage: Formatted) -> None:
    stage.prometheus.layer_time = {"attention.self.query": 0.125, "intermediate.dense": 0.375}
    stage.allow_int8()
    await stage.run(600)
    assert stage.status()["bottleneck"]["parts"] == [
        {"kind": "intermediate.dense", "timeRatio": "0.375"},
        {"kind": "attention.self.query", "timeRatio": "0.125"},
    ]
