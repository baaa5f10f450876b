"""The API server as the node agent meets it, over TLS in process: one NodeTuning, TokenReviews, signing requests."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
from collections.abc import Awaitable, Callable
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

Json = dict[str, Any]
GROUP = "/apis/trimtab.dev/v1alpha1/nodetunings"
REVIEWS = "/apis/authentication.k8s.io/v1/tokenreviews"
REQUESTS = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
PEM = serialization.Encoding.PEM


class Authority:
    """A certificate authority."""

    def __init__(self, name: str) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.certificate = (
            _builder(subject, subject, self.key.public_key(), 86_400)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(_usage(signs=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), critical=False)
            .sign(self.key, hashes.SHA256())
        )

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(PEM)

    def issue(self, subject: x509.Name, names: x509.SubjectAlternativeName, key: Any, life_seconds: float) -> bytes:
        """Chain of a serving certificate and this authority's own."""
        issued = (
            _builder(subject, self.certificate.subject, key, life_seconds)
            .add_extension(names, critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs=False), critical=True)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
            .sign(self.key, hashes.SHA256())
        )
        return issued.public_bytes(PEM) + self.pem

    def sign(self, request: bytes, life_seconds: float) -> bytes:
        parsed = x509.load_pem_x509_csr(request)
        names = parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        return self.issue(parsed.subject, names, parsed.public_key(), life_seconds)

    def server_context(self, folder: Path) -> ssl.SSLContext:
        """TLS of a server on 127.0.0.1."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
        chain = self.issue(x509.Name([]), names, key.public_key(), 86_400)
        file = folder / "api.pem"
        file.write_bytes(
            chain + key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context


def pod_token(uid: str, node: str, audiences: tuple[str, ...] = ("trimtab-agent",), *, valid: bool = True) -> Json:
    """TokenReview status of a token that is bound to a pod."""
    extra = {
        "authentication.kubernetes.io/node-name": [node],
        "authentication.kubernetes.io/pod-name": ["pod-of-" + uid],
        "authentication.kubernetes.io/pod-uid": [uid],
    }
    user = {"username": "system:serviceaccount:ns:default", "extra": extra}
    return {"authenticated": True, "audiences": list(audiences), "user": user} if valid else {"authenticated": False}


@dataclass
class AgentApi:
    """`away` drops every connection; `tokens` are the answers to TokenReviews; `deny` requests are denied first;
    writes of the status are answered while `patch_answers` is set;
    before each of `foreign_writes` writes of the status somebody else writes the object.
    """

    folder: Path
    node: str = "node-1"
    authority: Authority = field(default_factory=lambda: Authority("api"))
    signer: Authority = field(default_factory=lambda: Authority("agents"))
    former_signers: list[Authority] = field(default_factory=list)
    tokens: dict[str, Json] = field(default_factory=dict)
    tuning: Json | None = None
    away: bool = False
    deny: int = 0
    life_seconds: float = 86_400
    lists_fail: bool = False
    patch_answers: asyncio.Event = field(default_factory=asyncio.Event)
    foreign_writes: int = 0
    calls: list[tuple[str, str]] = field(default_factory=list)
    bearers: set[str] = field(default_factory=set)
    statuses: list[Json] = field(default_factory=list)
    signing: dict[str, Json] = field(default_factory=dict)
    _events: list[tuple[int, Json]] = field(default_factory=list)
    _version: int = 1
    _oldest: int = 0
    _news: asyncio.Condition = field(default_factory=asyncio.Condition)
    _watching: list[web.Request] = field(default_factory=list)
    _runner: web.AppRunner | None = None
    port: int = 0

    async def start(self) -> None:
        self.patch_answers.set()
        app = web.Application(middlewares=[self._count])
        app.router.add_get(GROUP, self._list_or_watch)
        app.router.add_get(GROUP + "/{name}", self._get)
        app.router.add_patch(GROUP + "/{name}/status", self._patch)
        app.router.add_post(REVIEWS, self._review)
        app.router.add_post(REQUESTS, self._create_request)
        app.router.add_get(REQUESTS + "/{name}", self._request)
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=self.authority.server_context(self.folder))
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        await self.leave()
        assert self._runner is not None
        await self._runner.cleanup()

    async def leave(self) -> None:
        """Go away: drop every watch, and every later call."""
        self.away = True
        for request in list(self._watching):
            if request.transport is not None:
                request.transport.abort()

    @property
    def watches(self) -> int:
        return len(self._watching)

    def asked(self, method: str, path: str) -> int:
        return sum(each == (method, path) for each in self.calls)

    def change_signer(self, name: str) -> None:
        """Sign with another authority; engines trust both."""
        self.former_signers.append(self.signer)
        self.signer = Authority(name)

    async def write(self, *entries: Json, annotations: dict[str, str] | None = None) -> None:
        """Write the NodeTuning's spec, as the operator does."""
        before = self.tuning or {"metadata": {"name": self.node, "uid": "tuning-uid", "generation": 0}}
        metadata = {**before["metadata"], "generation": before["metadata"]["generation"] + 1}
        if annotations is not None:
            metadata["annotations"] = annotations
        kind = "MODIFIED" if self.tuning else "ADDED"
        await self._store({**before, "metadata": metadata, "spec": {"engines": list(entries)}}, kind)

    async def delete(self) -> None:
        assert self.tuning is not None
        await self._store(self.tuning, "DELETED")
        self.tuning = None

    async def forget_history(self) -> None:
        """End every watch with 410, as after a compaction; what is written in that moment is in no watch."""
        async with self._news:
            self._version += 1
            self._oldest = self._version
            self._news.notify_all()

    async def _store(self, body: Json, kind: str) -> None:
        self._version += 1
        body = deepcopy(body)
        body["metadata"]["resourceVersion"] = str(self._version)
        self.tuning = body
        async with self._news:
            self._events.append((self._version, {"type": kind, "object": deepcopy(body)}))
            self._news.notify_all()

    @web.middleware
    async def _count(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        if self.away:
            assert request.transport is not None
            request.transport.abort()
            return web.Response(status=503)
        self.calls.append((request.method, request.path))
        self.bearers.add(request.headers.get("Authorization", ""))
        return await handler(request)

    async def _list_or_watch(self, request: web.Request) -> web.StreamResponse:
        assert request.query["fieldSelector"] == f"metadata.name={self.node}"
        if request.query.get("watch"):
            return await self._watch(request)
        if self.lists_fail:
            return _failure(503)
        items = [] if self.tuning is None else [self.tuning]
        return web.json_response({"metadata": {"resourceVersion": str(self._version)}, "items": items})

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        after = int(request.query["resourceVersion"])
        self._watching.append(request)
        try:
            while not self.away:
                async with self._news:
                    await self._news.wait_for(partial(self._is_after, after))
                    found = [event for version, event in self._events if version > after]
                if after < self._oldest:
                    gone = {"type": "ERROR", "object": {"kind": "Status", "code": 410, "message": "too old"}}
                    await answer.write(json.dumps(gone).encode() + b"\n")
                    break
                after = self._version
                for event in found:
                    await answer.write(json.dumps(event).encode() + b"\n")
        finally:
            self._watching.remove(request)
        return answer

    def _is_after(self, version: int) -> bool:
        return self._version > version

    async def _get(self, request: web.Request) -> web.Response:
        if self.tuning is None or request.match_info["name"] != self.node:
            return _failure(404)
        return web.json_response(self.tuning)

    async def _patch(self, request: web.Request) -> web.Response:
        assert request.headers["Content-Type"] == "application/merge-patch+json"
        if self.tuning is None or request.match_info["name"] != self.node:
            return _failure(404)
        if self.foreign_writes:
            self.foreign_writes -= 1
            await self._store(self.tuning, "MODIFIED")
        body = await request.json()
        if body["metadata"]["resourceVersion"] != self.tuning["metadata"]["resourceVersion"]:
            return _failure(409)
        self.statuses.append(body["status"])
        await self._store({**self.tuning, "status": body["status"]}, "MODIFIED")
        stored = self.tuning
        await self.patch_answers.wait()
        return web.json_response(stored)

    async def _review(self, request: web.Request) -> web.Response:
        body = await request.json()
        assert body["spec"]["audiences"] == ["trimtab-agent"]
        status = self.tokens.get(body["spec"]["token"], {"authenticated": False, "error": "unknown"})
        return web.json_response({**body, "status": status}, status=201)

    async def _create_request(self, request: web.Request) -> web.Response:
        body = await request.json()
        name = body["metadata"]["name"]
        if name in self.signing:
            return _failure(409)
        if self.deny:
            self.deny -= 1
            body["status"] = {"conditions": [{"type": "Denied", "status": "True", "message": "not you"}]}
        else:
            chain = self.signer.sign(base64.b64decode(body["spec"]["request"]), self.life_seconds)
            body["status"] = {"certificate": base64.b64encode(chain).decode()}
        self.signing[name] = body
        return web.json_response(body, status=201)

    async def _request(self, request: web.Request) -> web.Response:
        found = self.signing.get(request.match_info["name"])
        return _failure(404) if found is None else web.json_response(found)


def _failure(code: int) -> web.Response:
    return web.json_response({"kind": "Status", "code": code, "message": f"code {code}"}, status=code)


def _builder(subject: x509.Name, issuer: x509.Name, key: Any, life_seconds: float) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(seconds=1))
        .not_valid_after(now + timedelta(seconds=life_seconds))
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs, key_cert_sign=signs, crl_sign=signs, content_commitment=False,
        key_encipherment=False, data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip
