"""A model's variants beside its serving: fed with answers, asked for chores, told of settings."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable
from statistics import median_low

import numpy as np

from trimtab_api.engine_knobs import Knob
from trimtab_api.wire import PendingSetting, ShadowedSetting
from trimtab_engine.agent_link.slow import SlowSettings
from trimtab_engine.agent_link.values import refused
from trimtab_engine.chores import Chore, ChoreOutcome
from trimtab_engine.jobs import Item, TensorRow, TokenRow, input_key
from trimtab_engine.log import Log
from trimtab_engine.quantities import write_ratio
from trimtab_engine.settings import CaptureSettings, LiveSettings
from trimtab_engine.signature import Signature, TensorSpec
from trimtab_engine.variants.accuracy import Outputs, Task
from trimtab_engine.variants.capture import Capture, CapturedInput
from trimtab_engine.variants.course import NONE, ORIGINAL, Phase, Standing, Wish
from trimtab_engine.variants.declared import Declared
from trimtab_engine.variants.lifecycle import VariantLife
from trimtab_engine.variants.probe import Refused
from trimtab_engine.variants.spares import SpareMemory

_RECENT_BATCHES = 64
_CLASS_OUTPUTS = ("logits", "scores", "probabilities")
_SLOW_KNOBS = (Knob.QUANTIZATION, Knob.VARIANT)


class ServedVariants:
    """The variants of the model that an engine serves; a source of chores."""

    def __init__(
        self,
        model: str,
        capture: CaptureSettings | None,
        signature: Callable[[], Signature | None],
        log: Log,
        *,
        memory: SpareMemory,
        declared: Iterable[Declared],
    ) -> None:
        """`signature` gives what the model answers, once it is loaded; `declared` are the variants of any model.

        `capture` None = no input is kept.
        """
        self._model = model
        self._signature = signature
        self._log = log
        self._declared = {each.name: each for each in declared if each.model == model}
        self._sizes: deque[int] = deque([1], maxlen=_RECENT_BATCHES)
        self._reported: Callable[[SlowSettings], None] = lambda _: None
        self.life = VariantLife(
            model,
            task=self._task,
            decode=self._decode,
            batch_size=lambda: median_low(self._sizes),
            capture=None if capture is None else Capture(capture.limit_bytes, capture.inputs),
            changed=self._publish,
            memory=memory,
        )

    @property
    def in_force(self) -> str:
        """The variant that the next batch runs on."""
        return self.life.in_force

    def report_to(self, reported: Callable[[SlowSettings], None]) -> None:
        """Tell how it stands with the slow settings, now and whenever that changes."""
        self._reported = reported
        reported(self._slow(self.life.standing))

    def apply(self, live: LiveSettings) -> None:
        """Ask for what the settings say; it is in force later, or refused."""
        declared = self._declared.get(live.variant)
        self.life.wish(Wish(live.quantization, live.min_accuracy, live.variant, declared), time.monotonic())

    def batch_done(self, items: list[Item], answers: list[bytes], variant: str) -> None:
        """Hear of a batch of requests and what it was answered by a variant."""
        self._sizes.append(len(items))
        now, shadow = time.monotonic(), self.life.shadow
        if shadow is not None and variant == self.life.in_force:
            for item, answer in zip(items, answers, strict=True):
                shadow.answered(item.row, answer)
        for item, answer in zip(items, answers, strict=True):
            if not self.life.wants(now):
                break  # nor would it want the next one, now
            self.life.answered(_captured(self._model, item), answer, variant)

    def worker_died(self) -> None:
        """Hear that the worker has lost its variants."""
        self.life.worker_died(time.monotonic())

    @property
    def urgent(self) -> bool:
        """Whether the next chore gives memory back that is short, see `ChoreSource`."""
        return self.life.urgent

    def next(self, now: float) -> Chore | None:
        """Return the next chore, see `ChoreSource`."""
        return self.life.next(now)

    def done(self, chore: Chore, outcome: ChoreOutcome) -> None:
        """Hear how a chore ended, see `ChoreSource`."""
        self.life.done(chore, outcome, time.monotonic())

    def _task(self) -> Task:
        """Return what the model's answers are, by the name and width of its first output."""
        output = _first_output(self._signature())
        if output.name in _CLASS_OUTPUTS:
            return Task.CLASSIFICATION
        return Task.REGRESSION if int(np.prod(output.shape)) == 1 else Task.EMBEDDING

    def _decode(self, answer: bytes | None) -> Outputs:
        """Return the first output of an answer [width]; of an answer that is not finite, as such."""
        output = _first_output(self._signature())
        width = int(np.prod(output.shape))
        if answer is None:
            return np.full(width, np.nan, np.float32)
        return np.frombuffer(answer, np.dtype(output.dtype), width).astype(np.float32)

    def _publish(self, standing: Standing) -> None:
        self._log.event(
            "variant",
            model=self._model,
            phase=standing.phase.value,
            in_force=standing.in_force,
            asked=standing.wish.variant if standing.wish.quantization == NONE else standing.wish.quantization,
            reason=standing.reason,
            **_evidence(standing),
        )
        self._reported(self._slow(standing))

    def _slow(self, standing: Standing) -> SlowSettings:
        words = zip(_SLOW_KNOBS, standing.wish.asked, standing.settings, strict=True)
        unmet = [(knob, asked, have) for knob, asked, have in words if asked != have]
        in_force = {knob: have for knob, _, have in unmet}
        if standing.phase is Phase.REFUSED:
            refusals = tuple(refused(knob, asked, standing.reason) for knob, asked, _ in unmet)
            return SlowSettings(in_force, refused=refusals, shadowed=_shadowed(standing))
        pending: list[PendingSetting] = [
            {"setting": knob.value, "value": asked, "phase": standing.phase.value} for knob, asked, _ in unmet
        ]
        return SlowSettings(in_force, tuple(pending), shadowed=_shadowed(standing))


def _first_output(signature: Signature | None) -> TensorSpec:
    if signature is None or signature.outputs[0].padded:
        raise Refused("NoMeasure", "answers of no fixed shape cannot be compared")
    return signature.outputs[0]


def _shadowed(standing: Standing) -> tuple[ShadowedSetting, ...]:
    """Return what is reported of the variant in force, or of the one that the gate refused; nothing without one."""
    evidence = standing.evidence
    if evidence is None:
        return ()
    asked = zip(_SLOW_KNOBS, standing.wish.asked, ORIGINAL, strict=True)
    knob, value = next((knob, word) for knob, word, original in asked if word != original)
    row: ShadowedSetting = {
        "setting": knob.value,
        "value": value,
        "accuracyLow": write_ratio(min(1.0, max(0.0, evidence.accuracy_low))),
        "minAccuracy": write_ratio(standing.wish.min_accuracy),
        "inputs": evidence.inputs,
    }
    if evidence.speedup is not None:
        row["speedup"] = f"{evidence.speedup:.3f}"
    return (row,)


def _evidence(standing: Standing) -> dict[str, float]:
    admitted = standing.admitted
    if admitted is None:
        return {}
    report, found = admitted.report.agreement, admitted.found
    return {
        "accuracy": round(report.measured.value, 5),
        "accuracy_low": round(report.measured.low, 5),
        "accuracy_self": round(report.itself, 5),
        "speedup": round(found.speedup.value, 3),
        "speedup_low": round(found.speedup.low, 3),
        "layers": 0 if isinstance(found.plan, Declared) else len(found.plan),
        "quantized_share": round(found.quantized_share, 3),
        "device_seconds": round(found.device_seconds, 1),
        "builds": found.builds,
    }


def _captured(model: str, item: Item) -> CapturedInput:
    """Return an input in arrays of its own: a row may be a view on a whole request."""
    row = item.row
    if isinstance(row, TokenRow):
        copied: TokenRow | TensorRow = TokenRow(row.ids.copy(), None if row.mask is None else row.mask.copy())
    else:
        copied = TensorRow(tuple(tensor.copy() for tensor in row.tensors), row.length)
    size = sum(tensor.nbytes for tensor in copied.tensors)
    return CapturedInput(input_key(model, "", row), copied, item.length, size)
