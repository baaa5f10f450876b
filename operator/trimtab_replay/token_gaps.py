"""The time between two tokens of an answer, which the event model does not step through.

All sequences of a replica advance alike, so that it has one clock of tokens: it stands while a prompt is read, and else
goes as fast as the sequences that decode let it. When an answer's tokens came is read off that clock.
"""

from __future__ import annotations

import numpy as np

from trimtab_operator.model.arrays import Floats
from trimtab_replay.answers import Answers
from trimtab_replay.batches import Ints
from trimtab_replay.serving import ServingModel

JUST_BEFORE = 1e-6  # tokens: one that is due when a prompt begins to be read comes before it


def token_gaps(model: ServingModel, taken: Answers, which: Ints) -> Floats:
    """Return the seconds before each token but the first of these requests, one answer after the other.

    `taken` is all that one replica was ever asked; what is asked for must have been answered.
    """
    at, clock = _clock(model, taken)
    first = taken.first_token[which] - model.overhead_seconds
    count = taken.output_tokens[which].astype(np.int64)
    starts = np.cumsum(count) - count
    order = np.arange(count.sum()) - np.repeat(starts, count)
    due = np.repeat(np.interp(first, at, clock), count) + order - JUST_BEFORE
    came = np.interp(due, clock, at)
    came[starts] = first
    came[starts + count - 1] = taken.finished[which] - model.overhead_seconds
    return np.delete(np.diff(came, prepend=0.0), starts)


def _clock(model: ServingModel, taken: Answers) -> tuple[Floats, Floats]:
    """Return times at which the batch changed, and the tokens of the clock at them."""
    begun = taken.begun
    joined = begun + taken.prompt_tokens * model.prompt_token_seconds
    left = taken.finished - model.overhead_seconds
    at = np.concatenate([begun, joined, left])
    ones, none = np.ones(len(begun)), np.zeros(len(begun))
    reading = np.concatenate([ones, -ones, none])
    decoding = np.concatenate([none, ones, -ones])
    order = np.argsort(at)[: np.count_nonzero(~np.isnan(at))]
    running = np.cumsum(decoding[order])[:-1]
    seconds = model.step_seconds + running * model.sequence_seconds
    speed = np.where((np.cumsum(reading[order])[:-1] < 1.0) & (running > 0.0), 1.0 / seconds, 0.0)
    return at[order], np.concatenate([[0.0], np.cumsum(speed * np.diff(at[order]))])
