"""Asks the API server who an engine's token belongs to, and remembers the answer for a short while."""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from trimtab_agent.engines.identity import PodIdentity, Refusal, identify
from trimtab_agent.engines.kube import ApiError, KubeApi
from trimtab_agent.engines.pace import Rate, TokenBucket
from trimtab_api.wire import AUDIENCE

ACCEPTED_SECONDS = 60.0
REFUSED_SECONDS = 5.0
AWAY_SECONDS = 600.0
"""How long an accepted token is believed while the API server does not answer: the life of such a token."""
MAX_REMEMBERED = 1024
REVIEWS = Rate(per_second=10.0, burst=256)
"""Bounds what a pod that sends new forged tokens can make us ask; a whole node's engines fit into the burst."""


class ReviewUnavailableError(Exception):
    """It cannot be told now who the token belongs to."""


@dataclass(frozen=True)
class _Verdict:
    outcome: PodIdentity | Refusal
    at: float


class TokenReviews:
    """Judges tokens for one node. `clock` is monotonic, in seconds. Tokens are remembered as hashes only."""

    def __init__(self, api: KubeApi, node: str, clock: Callable[[], float]) -> None:
        self._api = api
        self._node = node
        self._clock = clock
        self._bucket = TokenBucket(REVIEWS, clock)
        self._verdicts: OrderedDict[str, _Verdict] = OrderedDict()
        self._asking: dict[str, asyncio.Task[PodIdentity | Refusal]] = {}

    async def judge(self, token: str) -> PodIdentity | Refusal:
        """Return whose token it is, or why it is refused. Raises ReviewUnavailableError."""
        key = hashlib.sha256(token.encode()).hexdigest()
        known = self._verdicts.get(key)
        if known is not None:
            self._verdicts.move_to_end(key)
            age = self._clock() - known.at
            if age <= (REFUSED_SECONDS if isinstance(known.outcome, Refusal) else ACCEPTED_SECONDS):
                return known.outcome
        try:
            return await asyncio.shield(self._asking.get(key) or self._ask(key, token))
        except (ApiError, ReviewUnavailableError) as error:
            if known is not None and isinstance(known.outcome, PodIdentity) and age <= AWAY_SECONDS:
                return known.outcome
            raise ReviewUnavailableError(str(error)) from error

    def _ask(self, key: str, token: str) -> asyncio.Task[PodIdentity | Refusal]:
        """Ask once for all requests that carry the token now; one that hangs up does not stop it for the others."""
        task = asyncio.create_task(self._review(key, token))
        self._asking[key] = task
        task.add_done_callback(lambda done: (self._asking.pop(key), done.cancelled() or done.exception()))
        return task

    async def _review(self, key: str, token: str) -> PodIdentity | Refusal:
        if self._bucket.take():
            raise ReviewUnavailableError("too many tokens to review")
        outcome = identify(await self._api.review_token(token, AUDIENCE), self._node)
        self._verdicts[key] = _Verdict(outcome, self._clock())
        self._verdicts.move_to_end(key)
        if len(self._verdicts) > MAX_REMEMBERED:
            self._verdicts.popitem(last=False)
        return outcome
