"""What a served model tells of its variants: what is under way, refused, in force, and what was found in shadow."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from fakes.agent_wire import REPORT

from trimtab_agent.engines.reports import read_report
from trimtab_engine.agent_link.slow import SlowSettings
from trimtab_engine.log import Log
from trimtab_engine.variants.course import ORIGINAL, Asked, Phase, Standing, Wish
from trimtab_engine.variants.evidence import Evidence
from trimtab_engine.variants.serving import ServedVariants
from trimtab_engine.variants.spares import SpareMemory

INT8, SMALL = Wish("Int8", 0.98), Wish(variant="small", min_accuracy=0.9)
LOW = "AccuracyTooLow: gate: 0.91"


def told(phase: Phase, wish: Wish, evidence: Evidence | None, settings: Asked = ORIGINAL) -> SlowSettings:
    """What is reported of a model whose variants stand so."""
    served = ServedVariants("m", None, lambda: None, Log(io.StringIO()), memory=SpareMemory(), declared=())
    served.life.standing = Standing(phase, "whichever", settings, wish, LOW, None, evidence)
    heard: list[SlowSettings] = []
    served.report_to(heard.append)
    return heard[0]


@pytest.mark.parametrize(
    ("found", "row"),
    [
        pytest.param(
            told(Phase.IN_FORCE, INT8, Evidence(0.98713249, 512, 1.3118), INT8.asked),
            {"setting": "quantization", "value": "Int8", "accuracyLow": "0.987132", "minAccuracy": "0.98",
             "inputs": 512, "speedup": "1.312"}, id="in force",
        ),
        pytest.param(
            told(Phase.REFUSED, SMALL, Evidence(-0.2, 256, None)),
            {"setting": "variant", "value": "small", "accuracyLow": "0", "minAccuracy": "0.9", "inputs": 256},
            id="refused before it was timed, and agreeing less than not at all",
        ),
        pytest.param(
            told(Phase.IN_FORCE, SMALL, Evidence(1.0000001, 512, 1.0), SMALL.asked),
            {"setting": "variant", "value": "small", "accuracyLow": "1", "minAccuracy": "0.9", "inputs": 512,
             "speedup": "1.000"}, id="alike but for rounding",
        ),
    ],
)  # fmt: skip
def test_what_was_found_in_shadow_is_told_in_a_form_that_the_agent_takes(
    found: SlowSettings, row: dict[str, Any]
) -> None:
    assert found.shadowed == (row,)
    report = REPORT | {"shadowed": list(found.shadowed)}
    assert read_report(json.dumps(report).encode()) == report


@pytest.mark.parametrize("phase", [Phase.ORIGINAL, Phase.WAITING, Phase.SEARCHING, Phase.REFUSED])
def test_what_was_never_compared_has_no_figures(phase: Phase) -> None:
    assert told(phase, Wish() if phase is Phase.ORIGINAL else INT8, None).shadowed == ()
