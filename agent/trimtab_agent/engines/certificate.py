"""Keeps the wire's serving certificate: asks for one, loads it into the live TLS context, and renews it in time."""

from __future__ import annotations

import asyncio
import base64
import logging
import os
import ssl
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from trimtab_agent.engines.kube import ApiConflictError, ApiError, ApiNotFoundError, ApiUnavailableError, KubeApi
from trimtab_agent.engines.pace import Backoff, spread
from trimtab_agent.engines.signing_request import (
    BadCertificateError,
    Issued,
    new_key,
    read_issued,
    request_object,
    service_names,
)

_log = logging.getLogger(__name__)


class NotIssuedError(Exception):
    """The request was denied, failed, or is gone."""


@dataclass(frozen=True)
class Pace:
    """How fast certificates are asked for; in seconds."""

    first_poll: float = 1.0
    most_poll: float = 15.0
    first_retry: float = 5.0
    most_retry: float = 300.0
    between_renewals: float = 60.0
    """Least time between two renewals: neither an authority that is announced but does not sign yet, nor a wrong clock
    may make a tight loop."""


PACE = Pace()


class ServingCertificate:
    """`authority` tells which authority the operator wants (None: not known); `now` tells the time."""

    def __init__(
        self,
        api: KubeApi,
        node: str,
        namespace: str,
        *,
        authority: Callable[[], str | None],
        now: Callable[[], datetime],
        pace: Pace = PACE,
    ) -> None:
        self._api = api
        self._node = node
        self._names = service_names(namespace)
        self._authority = authority
        self._now = now
        self._pace = pace
        self._looked = asyncio.Event()
        self._issued: Issued | None = None
        self.context = _empty_context()
        """Of the live listener; handshakes fail until the first certificate is loaded."""

    @property
    def expires_at(self) -> datetime | None:
        """When the certificate in use ends; None while there is none."""
        return None if self._issued is None else self._issued.not_after

    def look(self) -> None:
        """Have the loop look whether another authority is wanted."""
        self._looked.set()

    async def run(self) -> None:
        """Keep a valid certificate for ever. While none can be had, the one in use serves on."""
        backoff = Backoff(self._pace.first_retry, self._pace.most_retry)
        while True:
            try:
                issued = await self._issue()
                load(self.context, issued)
            except (ApiError, NotIssuedError, BadCertificateError, ssl.SSLError) as error:
                _log.warning("no certificate", extra={"values": {"node": self._node, "error": str(error)}})
                await asyncio.sleep(backoff.next_seconds())
                continue
            except Exception:  # whatever was issued, the loop goes on
                _log.exception("certificate not understood")
                await asyncio.sleep(backoff.next_seconds())
                continue
            backoff.reset()
            self._issued = issued
            values = {"expires_at": issued.not_after.isoformat(), "issuer": issued.issuer}
            _log.info("certificate loaded", extra={"values": values})
            await self._until_due(issued)

    async def _issue(self) -> Issued:
        """Ask with a new key, and wait until it is answered."""
        key = new_key()
        request = request_object(self._node, key, self._names)
        with suppress(ApiConflictError):  # our own, made by a call whose answer was lost
            await self._api.create_signing_request(request)
        return await self._answer(request["metadata"]["name"], key)

    async def _answer(self, name: str, key: ec.EllipticCurvePrivateKey) -> Issued:
        """Poll until the request is answered; the API server itself removes one that never is."""
        backoff = Backoff(self._pace.first_poll, self._pace.most_poll)
        while True:
            await asyncio.sleep(backoff.next_seconds())
            try:
                status = (await self._api.signing_request(name)).get("status") or {}
            except ApiUnavailableError:
                continue
            except ApiNotFoundError as error:
                raise NotIssuedError(f"{name} is gone") from error
            _refuse_denied(name, status)
            if status.get("certificate"):
                return read_issued(base64.b64decode(status["certificate"]), key)

    async def _until_due(self, issued: Issued) -> None:
        """Wait until it is time to renew: two thirds of the life, or another authority."""
        loop = asyncio.get_running_loop()
        settled_at = loop.time() + spread(self._pace.between_renewals, 0.1)
        due_at = max(settled_at, loop.time() + spread((issued.renew_at() - self._now()).total_seconds(), 0.1))
        while (now := loop.time()) < due_at:
            self._looked.clear()
            other = self._is_other(issued)
            if other and now >= settled_at:
                return
            with suppress(TimeoutError):
                async with asyncio.timeout((settled_at if other else due_at) - now):
                    await self._looked.wait()

    def _is_other(self, issued: Issued) -> bool:
        wanted = self._authority()
        return wanted is not None and issued.issuer is not None and wanted != issued.issuer


def load(context: ssl.SSLContext, issued: Issued) -> None:
    """Load certificate and key into a context: later handshakes use them, open connections go on as they are.

    The ssl module reads files only, so that they pass through a file in memory, which no disk sees.
    """
    descriptor = os.memfd_create("certificate", os.MFD_CLOEXEC)
    try:
        with os.fdopen(descriptor, "wb", closefd=False) as file:
            file.write(issued.key + issued.chain)
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)


def _refuse_denied(name: str, status: dict[str, Any]) -> None:
    for condition in status.get("conditions") or ():
        if condition.get("type") in ("Denied", "Failed"):
            raise NotIssuedError(f"{name} was {condition['type'].lower()}: {condition.get('message', '')}")


def _empty_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.num_tickets = 0  # a resumed session would not show a renewed certificate
    return context
