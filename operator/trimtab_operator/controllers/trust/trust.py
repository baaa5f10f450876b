"""The leader's loop of trust: keep the authority, answer the agents' requests, publish what engines shall trust."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Final

from trimtab_operator.clock import Clock
from trimtab_operator.controllers.trust.publication import Publication
from trimtab_operator.controllers.trust.rotation import Authorities, signer
from trimtab_operator.controllers.trust.secret import AuthoritySecret
from trimtab_operator.controllers.trust.signing import Signing
from trimtab_operator.errors import KubeError, LeadershipLost
from trimtab_operator.kube.port import Kube
from trimtab_operator.settings import TrustSettings
from trimtab_operator.telemetry import Telemetry

BUSY_SECONDS: Final = 2.0
IDLE_SECONDS: Final = 10.0
BUSY_FOR_SECONDS: Final = 60.0
"""After a request the next ones are likely: agents start and renew together."""
LONGEST_RETRY_SECONDS: Final = 30.0

log = logging.getLogger(__name__)


class Trust:
    """`namespaces` names, at any moment, those with a policy that tunes engines; `namespace` is the operator's own."""

    def __init__(
        self,
        kube: Kube,
        clock: Clock,
        namespace: str,
        namespaces: Callable[[], Iterable[str]],
        settings: TrustSettings,
        *,
        telemetry: Telemetry,
    ) -> None:
        self._clock = clock
        self._namespaces = namespaces
        self._settings = settings
        self._telemetry = telemetry
        self._secret = AuthoritySecret(kube, namespace, settings)
        self._signing = Signing(kube, namespace, telemetry)
        self._publication = Publication(kube, clock)
        self._asked_at = -math.inf
        self._failures = 0
        self._is_well = True
        self._authority_hash: str | None = None

    @property
    def authority_hash(self) -> str | None:
        """Names the authority that signs now; when it changes, agents ask for a new certificate. None: none yet."""
        return self._authority_hash

    async def run(self) -> None:
        """Work until cancelled.

        Raises:
            LeadershipLost: nothing may be written any more.
        """
        while True:
            await self._clock.sleep(await self.round())

    async def round(self) -> float:
        """Do once what is due; answers the seconds until the next round. Raises LeadershipLost."""
        self._is_well = True
        stored: Authorities | None = None
        with self._surviving("keep the authority"):
            stored = await self._keep()
        if stored is not None:
            with self._surviving("answer requests"):
                await self._answer(stored)
            with self._surviving("publish the authority"):
                await self._publish(stored)
        self._failures = 0 if self._is_well else self._failures + 1
        return self._pause()

    @contextmanager
    def _surviving(self, step: str) -> Iterator[None]:
        """One step's failure leaves the others to be done, and the whole to be tried again."""
        try:
            yield
        except LeadershipLost:
            raise
        except KubeError as error:
            self._is_well = False
            log.warning("trust step failed", extra={"pairs": {"step": step, "error": str(error)}})
        except Exception:
            self._is_well = False
            log.exception("trust step broke", extra={"pairs": {"step": step}})

    async def _keep(self) -> Authorities | None:
        now = self._clock.now()
        stored = await self._secret.keep(now)
        if stored is None:
            self._is_well = False
            return None
        self._authority_hash = signer(stored, now, self._settings).hash
        self._telemetry.authority(stored.current.expires_at - now)
        return stored

    async def _answer(self, stored: Authorities) -> None:
        now = self._clock.now()
        answers = await self._signing.answer(signer(stored, now, self._settings), now)
        if answers.pending:
            self._asked_at = self._clock.monotonic()
        self._is_well &= answers.failed == 0

    async def _publish(self, stored: Authorities) -> None:
        is_everywhere = await self._publication.publish(stored.bundle, self._namespaces())
        if is_everywhere and stored.previous is not None and stored.published_at is None:
            await self._secret.published(stored, self._clock.now())

    def _pause(self) -> float:
        if self._failures:
            return min(BUSY_SECONDS * 2.0 ** min(self._failures - 1, 8), LONGEST_RETRY_SECONDS)
        is_busy = self._clock.monotonic() - self._asked_at < BUSY_FOR_SECONDS
        return BUSY_SECONDS if is_busy else IDLE_SECONDS
