"""An agent as an engine sees it: TLS with a CA of its own, long polling, scripted documents, recorded reports."""

from __future__ import annotations

import base64
import contextlib
import datetime as dt
import ipaddress
import json
import socket
import ssl
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from trimtab_api.wire import REASON_HEADER, REPORT_PATH, SETTINGS_PATH, entry_hash, settings_hash

POD_UID = "6f2c1f1e-0d3c-4a53-9a51-3b1f0c3f7a10"


def a_token(pod_uid: str = POD_UID) -> str:
    """A token of the form that the kubelet projects; the signature is nobody's."""

    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    return f"{part({'alg': 'none'})}.{part({'kubernetes.io': {'pod': {'uid': pod_uid}}})}.c2ln"


def a_document(
    settings: dict[str, Any], *, generation: int = 1, uid: str = "tuning-1", pod_uid: str = POD_UID, **more: Any
) -> dict[str, Any]:
    """A document that an engine takes; `more` adds or replaces fields, such as a trial's."""
    version = {"uid": uid, "generation": generation, "hash": settings_hash(settings)}
    entry = entry_hash({"settings": settings, "trial": more.get("trial"), "expiresAt": generation})
    return {"podUid": pod_uid, "version": version, "entry": entry, "settings": settings, **more}


@dataclass(frozen=True)
class Report:
    """What an engine told, and when (monotonic seconds)."""

    at: float
    body: dict[str, Any]


class Authority:
    """A self-signed CA that signs the agent's certificate."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "trimtab test CA")])
        builder = self._builder(self._name, self._key.public_key())
        self._certificate = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True).sign(
            self._key, hashes.SHA256()
        )
        self.pem = self._certificate.public_bytes(serialization.Encoding.PEM)

    def serving_context(self, directory: Path) -> ssl.SSLContext:
        """TLS for 127.0.0.1 with a fresh key."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "trimtab-agent")])
        names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        builder = self._builder(name, key.public_key()).add_extension(names, critical=False)
        file = directory / "serving.pem"
        file.write_bytes(
            builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
            + key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        now = dt.datetime.now(dt.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(hours=1))
            .not_valid_after(now + dt.timedelta(days=1))
            # Without these OpenSSL tries only the first of two CAs of one name.
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )


class _Server(ThreadingHTTPServer):
    """Ends its open connections when it is closed: a process that dies does so too."""

    daemon_threads = True
    agent: EngineAgent

    def __init__(self, port: int, agent: EngineAgent, context: ssl.SSLContext) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.agent = agent
        self._taken: list[socket.socket] = []
        self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        self._taken.append(connection)
        return connection, address

    def handle_error(self, request: Any, client_address: Any) -> None:
        """An engine that hangs up, or does not trust us, is part of the play."""

    def end(self) -> None:
        self.shutdown()
        self.server_close()
        for connection in self._taken:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, *_: object) -> None:
        """Stay silent."""

    def do_GET(self) -> None:
        agent, url = self.server.agent, urlsplit(self.path)
        query = parse_qs(url.query)
        if self._refused() or url.path != SETTINGS_PATH:
            self._answer(401, reason="TokenRefused")
            return
        if agent.refusals:
            status, reason, headers = agent.refusals.pop(0)
            self._answer(status, b"", reason, headers)
            return
        body = agent.wait_for_news(query.get("known", [""])[0], float(query["wait"][0]))
        if isinstance(body, bytes):
            self._answer(200, body)
        else:
            self._answer(204 if body else 404, reason="" if body else "NoEntry")

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        if self._refused() or self.path != REPORT_PATH:
            self._answer(401, reason="TokenRefused")
            return
        self.server.agent.reports.append(Report(time.monotonic(), json.loads(content)))
        self._answer(self.server.agent.report_status)

    def _refused(self) -> bool:
        return self.headers["Authorization"] != f"Bearer {self.server.agent.token}"

    def _answer(self, status: int, body: bytes = b"", reason: str = "", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {**(headers or {}), **({REASON_HEADER: reason} if reason else {})}.items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@dataclass
class EngineAgent:
    """The agent's volume in `directory` (token, ca.crt), its address, what it serves and what it was told."""

    directory: Path
    authority: Authority = field(default_factory=Authority)
    token: str = field(default_factory=a_token)
    reports: list[Report] = field(default_factory=list)
    port: int = 0
    refusals: list[tuple[int, str, dict[str, str]]] = field(default_factory=list)
    """Status, reason and headers of the next answers to questions, in place of documents."""
    report_status: int = 204
    questions: int = 0
    """How many questions for settings have been answered."""
    patience_seconds: float = 1.0
    """The longest time that an answer is held, whatever the engine asks for."""
    _document: bytes | None = None
    _entry: str = ""
    _news: threading.Condition = field(default_factory=threading.Condition)
    _server: _Server | None = None

    def __post_init__(self) -> None:
        self.token_file, self.ca_file = self.directory / "token", self.directory / "ca.crt"
        self.token_file.write_text(self.token)
        self.ca_file.write_bytes(self.authority.pem)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]

    @property
    def environment(self) -> dict[str, str]:
        """What an engine is started with."""
        return {
            "TRIMTAB_AGENT_URL": f"https://127.0.0.1:{self.port}",
            "TRIMTAB_AGENT_TOKEN_FILE": str(self.token_file),
            "TRIMTAB_AGENT_CA_FILE": str(self.ca_file),
        }

    def start(self) -> None:
        """Listen."""
        self._server = _Server(self.port, self, self.authority.serving_context(self.directory))
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        """Die: open connections break, new ones are refused."""
        with self._news:
            self._news.notify_all()
        if self._server is not None:
            self._server.end()
            self._server = None

    def serve(self, document: dict[str, Any] | bytes | None, entry: str = "raw") -> float:
        """Serve a document from now on; bytes are sent as they are, None is no entry. Returns the monotonic time."""
        with self._news:
            self._document = json.dumps(document).encode() if isinstance(document, dict) else document
            self._entry = str(document.get("entry", entry)) if isinstance(document, dict) else entry
            self._news.notify_all()
            return time.monotonic()

    def wait_for_news(self, known: str, seconds: float) -> bytes | bool:
        """The document once it is not the known one; True = it still is, False = there is none."""

        def new() -> bool:
            return self._document is not None and self._entry != known

        with self._news:
            self._news.wait_for(lambda: new() or self._server is None, min(seconds, self.patience_seconds))
            self.questions += 1
            return self._document if new() and self._document is not None else self._document is not None
