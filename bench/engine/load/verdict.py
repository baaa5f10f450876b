"""What became of each request of a log: answered rightly, dropped, reordered, or mixed. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
import numpy as np
from numpy.typing import NDArray

from bench.engine.load.pipelined import Sent

Vector = NDArray[np.float32]
References = Mapping[str, Vector]
"""By version: what it answers to each row of the corpus, each alone [rows, width]."""


class _Output(msgspec.Struct):
    data: list[float]


class _Answer(msgspec.Struct):
    id: str
    outputs: list[_Output]


_decoder = msgspec.json.Decoder(_Answer)


@dataclass
class Verdict:
    """Counts of a log.

    `dropped`: no answer, or one that is no 200. `reordered`: the id is that of another request. `mixed`: not the answer
    of the stamped version to that input. `largest_difference`: to the version's reference, by version, of right ids.
    `closest_call`: the largest distance to the own reference as a share of that to another version's.
    """

    answered: int = 0
    dropped: int = 0
    reordered: int = 0
    mixed: int = 0
    largest_difference: dict[str, float] = field(default_factory=dict)
    closest_call: float = 0.0


def judge(log: Sequence[Sent], references: References, tolerances: Mapping[str, float]) -> Verdict:
    """Compare every answer with the reference of its stamped version; a version without one counts as mixed.

    An answer is mixed where a number lies further from that reference than the version's tolerance (none: no limit),
    or where it is nearer to what another version answers to that input. The second is needed for 8-bit versions: a
    float that lies between two steps is rounded up in one batch and down in another, and through the layers that moves
    an answer a good part of the way to another version's.
    """
    found = Verdict()
    for sent in log:
        answer = read_answer(sent)
        if answer is None:
            found.dropped += 1
            continue
        found.answered += 1
        if answer[0] != f"r{sent.sequence:08d}":
            found.reordered += 1
        else:
            found.mixed += not _is_answer(sent, answer[1], references, tolerances, found)
    return found


def _is_answer(
    sent: Sent, vector: Vector, references: References, tolerances: Mapping[str, float], found: Verdict
) -> bool:
    known = references.get(sent.version)
    if known is None or known[sent.row].shape != vector.shape:
        return False
    away = vector - known[sent.row]
    difference, distance = float(np.abs(away).max()), float(np.linalg.norm(away))
    found.largest_difference[sent.version] = max(difference, found.largest_difference.get(sent.version, 0.0))
    others = [
        float(np.linalg.norm(vector - rows[sent.row]))
        for version, rows in references.items()
        if version != sent.version
    ]
    if others and min(others) > 0:
        found.closest_call = max(found.closest_call, distance / min(others))
    return difference <= tolerances.get(sent.version, np.inf) and all(distance < other for other in others)


def read_answer(sent: Sent) -> tuple[str, Vector] | None:
    """Return the echoed id and the numbers of an answer; None where there is none."""
    if sent.received is None or sent.status != 200:
        return None
    try:
        answer = _decoder.decode(sent.body)
    except msgspec.DecodeError:
        return None
    return answer.id, np.asarray(answer.outputs[0].data if answer.outputs else [], np.float32)
