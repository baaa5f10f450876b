"""Replicas that batch continuously, as an event model: time advances from one change of a batch to the next.

A decoding step with n running sequences takes `step + n x sequence` seconds and gives each of them one token. A prompt
is read alone, while the running sequences wait (Yu et al., Orca, OSDI 2022); then its sequence takes part in
`first_token_steps` steps before its first token comes: a first token waits for the steps that are under way and for
the prompts that are read in pieces beside it. `overhead` is what it takes besides, without the device. Between two
changes every sequence advances alike, so one number, the tokens that a sequence which was always there would have, says
where all of them stand.

Everything is an array, a row for each pod and for each request, so that hours of a large fleet take seconds.
"""

from __future__ import annotations

import numpy as np

from trimtab_replay.batches import NONE, Batches, Ints, Pods
from trimtab_replay.compiled import compiled


@compiled
def play(batches: Batches, alive: Ints, serving: Ints, until: float) -> None:
    """Let time pass: requests go, as they come, to the serving pod with the fewest, and wait while there is none."""
    every, done = batches.requests, batches.progress
    if len(serving):
        while done.dispatched[0] < done.next_request[0]:
            _dispatch(batches, serving, done.dispatched[0])
    while done.next_request[0] < len(every.arrived) and every.arrived[done.next_request[0]] <= until:
        done.next_request[0] += 1
        if len(serving):
            _dispatch(batches, serving, done.dispatched[0])
    for pod in alive:
        advance(batches, pod, until)


@compiled
def _dispatch(batches: Batches, serving: Ints, request: int) -> None:
    """Give the oldest request that waits to the pod with the fewest, or the first of them."""
    fleet, at = batches.pods, batches.requests.arrived[request]
    chosen = serving[0]
    for pod in serving:
        if fleet.change[pod] <= at:
            advance(batches, pod, at)
        if fleet.outstanding[pod] < fleet.outstanding[chosen]:
            chosen = pod
    _pass(batches, chosen, max(fleet.now[chosen], at))
    take(batches, chosen, request)
    batches.progress.dispatched[0] += 1


@compiled
def take(batches: Batches, pod: int, request: int) -> None:
    """Put a request into a pod's queue; it may have waited elsewhere since it arrived."""
    every, fleet = batches.requests, batches.pods
    every.pod[request] = pod
    fleet.outstanding[pod] += 1
    if fleet.waiting[pod]:
        every.behind[fleet.queue_tail[pod]] = request
    else:
        fleet.queue_head[pod] = request
    fleet.queue_tail[pod] = request
    fleet.waiting[pod] += 1
    _admit(batches, pod)
    _foresee(batches, pod)


@compiled
def advance(batches: Batches, pod: int, until: float) -> None:
    """Let time pass in a pod; what ends is noted in `ended`."""
    fleet = batches.pods
    while fleet.change[pod] <= until:
        _pass(batches, pod, fleet.change[pod])
        if fleet.reading[pod] != NONE:
            _join(batches, pod)
        else:
            due, request = _pop(fleet, pod)
            _reach(batches, pod, due, request)
        _admit(batches, pod)
        _foresee(batches, pod)
    _pass(batches, pod, until)


@compiled
def _foresee(batches: Batches, pod: int) -> None:
    model, fleet = batches.model, batches.pods
    if fleet.reading[pod] != NONE:
        fleet.change[pod] = fleet.read_at[pod]
    elif fleet.decoding[pod]:
        step = model.step_seconds + fleet.decoding[pod] * model.sequence_seconds
        fleet.change[pod] = fleet.now[pod] + (fleet.due_tokens[pod, 0] - fleet.tokens[pod]) * step
    else:
        fleet.change[pod] = np.inf


@compiled
def _pass(batches: Batches, pod: int, until: float) -> None:
    model, fleet = batches.model, batches.pods
    if fleet.reading[pod] == NONE and fleet.decoding[pod]:
        step = model.step_seconds + fleet.decoding[pod] * model.sequence_seconds
        fleet.tokens[pod] += (until - fleet.now[pod]) / step
    fleet.now[pod] = until


@compiled
def _admit(batches: Batches, pod: int) -> None:
    """Begin to read the next prompt where there is room for it."""
    model, every, fleet = batches.model, batches.requests, batches.pods
    if fleet.reading[pod] != NONE or fleet.waiting[pod] == 0 or fleet.decoding[pod] >= model.max_sequences:
        return
    request = fleet.queue_head[pod]
    tokens = every.prompt_tokens[request] + every.output_tokens[request]
    if fleet.decoding[pod] and fleet.kv_tokens[pod] + tokens > model.kv_tokens:
        return
    fleet.queue_head[pod] = every.behind[request]
    fleet.waiting[pod] -= 1
    fleet.kv_tokens[pod] += tokens
    fleet.reading[pod] = request
    every.begun[request] = fleet.now[pod]
    fleet.read_at[pod] = fleet.now[pod] + every.prompt_tokens[request] * model.prompt_token_seconds


@compiled
def _join(batches: Batches, pod: int) -> None:
    """Let a sequence whose prompt is read take part in the steps from now on."""
    model, fleet = batches.model, batches.pods
    request = fleet.reading[pod]
    fleet.reading[pod] = NONE
    due = fleet.tokens[pod] + model.first_token_steps
    if model.first_token_steps > 0.0:
        _push(fleet, pod, due, request)
    else:
        _reach(batches, pod, due, request)


@compiled
def _reach(batches: Batches, pod: int, due: float, request: int) -> None:
    """Let a sequence give its first token and go on, or its last and leave."""
    model, every, fleet, done = batches.model, batches.requests, batches.pods, batches.progress
    fleet.tokens[pod] = due
    given = fleet.now[pod] + model.overhead_seconds
    if np.isnan(every.first_token[request]):
        every.first_token[request] = given
        if every.output_tokens[request] > 1.0:
            _push(fleet, pod, due + every.output_tokens[request] - 1.0, request)
            return
    fleet.kv_tokens[pod] -= every.prompt_tokens[request] + every.output_tokens[request]
    every.finished[request] = given
    fleet.outstanding[pod] -= 1
    every.ended[done.ended[0]] = request
    done.ended[0] += 1


@compiled
def _push(fleet: Pods, pod: int, tokens: float, request: int) -> None:
    place = fleet.decoding[pod]
    fleet.decoding[pod] += 1
    while place:
        above = (place - 1) // 2
        if not _before(tokens, request, fleet.due_tokens[pod, above], fleet.due_request[pod, above]):
            break
        fleet.due_tokens[pod, place] = fleet.due_tokens[pod, above]
        fleet.due_request[pod, place] = fleet.due_request[pod, above]
        place = above
    fleet.due_tokens[pod, place] = tokens
    fleet.due_request[pod, place] = request


@compiled
def _pop(fleet: Pods, pod: int) -> tuple[float, int]:
    due, first = fleet.due_tokens[pod], fleet.due_request[pod]
    top = due[0], first[0]
    fleet.decoding[pod] -= 1
    size = fleet.decoding[pod]
    tokens, request, place = due[size], first[size], 0
    while 2 * place + 1 < size:
        below = 2 * place + 1
        if below + 1 < size and _before(due[below + 1], first[below + 1], due[below], first[below]):
            below += 1
        if not _before(due[below], first[below], tokens, request):
            break
        due[place], first[place] = due[below], first[below]
        place = below
    due[place], first[place] = tokens, request
    return top


@compiled
def _before(tokens: float, request: int, other_tokens: float, other_request: int) -> bool:
    return tokens < other_tokens or (tokens == other_tokens and request < other_request)
