"""Answer the agents' CertificateSigningRequests: approve and sign, or deny."""

from __future__ import annotations

import base64
import logging
from dataclasses import dataclass
from typing import Final

from trimtab_operator.controllers.trust.authority import Authority, sign_leaf
from trimtab_operator.controllers.trust.requests import Deny, Ignore, Sign, decide, is_approved
from trimtab_operator.errors import KubeError
from trimtab_operator.kube.port import Json, Kube
from trimtab_operator.kube.resources import CERTIFICATE_SIGNING_REQUESTS
from trimtab_operator.telemetry import Telemetry

MOST_AT_ONCE: Final = 64
"""Requests answered in one round, oldest first; the rest waits for the next."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Answers:
    """What one round found: requests that were pending, and those of them that could not be answered."""

    pending: int
    failed: int


class Signing:
    """One round at a time. An answer takes two writes; a crash between them is finished by the next round."""

    def __init__(self, kube: Kube, namespace: str, telemetry: Telemetry) -> None:
        self._kube = kube
        self._namespace = namespace
        self._telemetry = telemetry

    async def answer(self, authority: Authority, now: float) -> Answers:
        """Answer what is pending; `authority` signs at `now` (unix seconds).

        Raises KubeError where the requests cannot be listed, LeadershipLost.
        """
        # Not every version of the API server selects by signerName, so all are listed, page by page.
        bodies = await self._kube.list_all(CERTIFICATE_SIGNING_REQUESTS, None)
        decided = [(body, decide(body, self._namespace)) for body in bodies]
        pending = [(body, decision) for body, decision in decided if not isinstance(decision, Ignore)]
        pending.sort(key=lambda pair: str(pair[0]["metadata"].get("creationTimestamp")))
        settled = [await self._settle(*pair, authority, now) for pair in pending[:MOST_AT_ONCE]]
        return Answers(len(pending), settled.count(False))

    async def _settle(self, body: Json, decision: Sign | Deny, authority: Authority, now: float) -> bool:
        pairs = {"request": body["metadata"]["name"], "sender": (body.get("spec") or {}).get("username")}
        try:
            if isinstance(decision, Deny):
                await self._deny(body, decision)
                log.warning("certificate request denied", extra={"pairs": {**pairs, "reason": decision.reason}})
                self._telemetry.certificate("denied")
            else:
                await self._sign(body, decision, authority, now)
                log.info("certificate signed", extra={"pairs": {**pairs, "authority": authority.hash}})
                self._telemetry.certificate("signed")
        except KubeError as error:
            log.warning("certificate request not answered", extra={"pairs": {**pairs, "error": str(error)}})
            self._telemetry.certificate("failed")
            return False
        return True

    async def _deny(self, body: Json, decision: Deny) -> None:
        """Deny; a request that a person approved already can only fail."""
        if is_approved(body):
            await self._put(_with_condition(body, "Failed", "NotAnAgentsRequest", decision.reason), "status")
        else:
            await self._put(_with_condition(body, "Denied", "NotAnAgentsRequest", decision.reason), "approval")

    async def _sign(self, body: Json, decision: Sign, authority: Authority, now: float) -> None:
        if not is_approved(body):
            message = "the API server attests that an agent asks on its own node"
            body = await self._put(_with_condition(body, "Approved", "TrimtabAgent", message), "approval")
        chain = sign_leaf(authority, decision.public_key, decision.names, now)
        status = {**(body.get("status") or {}), "certificate": base64.b64encode(chain.encode()).decode()}
        await self._put({**body, "status": status}, "status")

    async def _put(self, body: Json, subresource: str) -> Json:
        return await self._kube.replace(
            CERTIFICATE_SIGNING_REQUESTS, None, body["metadata"]["name"], _whole(body), subresource
        )


def _whole(body: Json) -> Json:
    """Items of a list carry neither apiVersion nor kind."""
    resource = CERTIFICATE_SIGNING_REQUESTS
    return {**body, "apiVersion": resource.api_version, "kind": resource.kind}


def _with_condition(body: Json, kind: str, reason: str, message: str) -> Json:
    status = body.get("status") or {}
    condition = {"type": kind, "status": "True", "reason": reason, "message": message}
    return {**body, "status": {**status, "conditions": [*(status.get("conditions") or []), condition]}}
