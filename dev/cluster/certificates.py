"""Keys and certificates of the cluster: one authority, made with openssl, never shown to the system's trust store."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from pathlib import Path

from dev.cluster.paths import API_URL, BRIDGE_ADDRESS, KUBERNETES_SERVICE_ADDRESS, NODE_NAME, Paths
from dev.cluster.shell import run

VALID_DAYS = 3650


@dataclass(frozen=True)
class Identity:
    """One certificate: its file name, who it stands for, and the names and addresses it may serve under."""

    name: str
    common_name: str
    organization: str | None = None
    serves: tuple[str, ...] = ()


_LOCAL = ("DNS:localhost", "IP:127.0.0.1")
_API_NAMES = (
    *_LOCAL,
    f"IP:{KUBERNETES_SERVICE_ADDRESS}",
    f"IP:{BRIDGE_ADDRESS}",
    "DNS:kubernetes",
    "DNS:kubernetes.default",
    "DNS:kubernetes.default.svc",
    "DNS:kubernetes.default.svc.cluster.local",
)

IDENTITIES = (
    Identity("apiserver", "kube-apiserver", serves=_API_NAMES),
    Identity("apiserver-kubelet-client", "kube-apiserver-kubelet-client", "system:masters"),
    Identity("front", "front"),
    Identity("etcd", "etcd", serves=_LOCAL),
    Identity("etcd-client", "etcd-client"),
    Identity("admin", "admin", "system:masters"),
    Identity("controllers", "system:kube-controller-manager"),
    Identity("scheduler", "system:kube-scheduler"),
    Identity("proxy", "system:kube-proxy"),
    Identity(
        "kubelet", f"system:node:{NODE_NAME}", "system:nodes", (*_LOCAL, f"IP:{BRIDGE_ADDRESS}", f"DNS:{NODE_NAME}")
    ),
)

# Who talks to the API server with a kubeconfig, and where that file lies below the state.
_KUBECONFIGS = ("controllers", "scheduler", "proxy", "kubelet")


def certificate(paths: Paths, name: str) -> Path:
    """Name the certificate file of an identity, or of the authority (`ca`)."""
    return paths.certificates / f"{name}.crt"


def key(paths: Paths, name: str) -> Path:
    """Name the key file of an identity, of the authority (`ca`) or of the issuer of tokens (`service-accounts`)."""
    return paths.certificates / f"{name}.key"


def public_key(paths: Paths) -> Path:
    """Name the public half of the service account issuer's key."""
    return paths.certificates / "service-accounts.pub"


def kubeconfig(paths: Paths, name: str) -> Path:
    """Name the kubeconfig of a component."""
    return paths.certificates / f"{name}.kubeconfig"


def ensure_certificates(paths: Paths) -> None:
    """Make what is missing; each file appears whole or not at all, the certificate after its key."""
    paths.certificates.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not certificate(paths, "ca").exists():
        _make_key(key(paths, "ca"))
        _self_sign(paths)
    if not key(paths, "service-accounts").exists():
        _make_key(key(paths, "service-accounts"))
    if not public_key(paths).exists():
        _write(public_key(paths), run(["openssl", "pkey", "-pubout", "-in", key(paths, "service-accounts")]))
    for identity in IDENTITIES:
        if not certificate(paths, identity.name).exists():
            _make_key(key(paths, identity.name))
            _sign(paths, identity)
    for name in _KUBECONFIGS:
        _write(kubeconfig(paths, name), render_kubeconfig(paths, name))
    _write(paths.kubeconfig, render_kubeconfig(paths, "admin"))


def render_kubeconfig(paths: Paths, name: str) -> str:
    """Render a kubeconfig (JSON, which is YAML) with everything inside, so that the file can be copied away."""

    def inline(file: Path) -> str:
        return base64.b64encode(file.read_bytes()).decode()

    user = {
        "client-certificate-data": inline(certificate(paths, name)),
        "client-key-data": inline(key(paths, name)),
    }
    cluster = {"server": API_URL, "certificate-authority-data": inline(certificate(paths, "ca"))}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "trimtab", "cluster": cluster}],
        "users": [{"name": name, "user": user}],
        "contexts": [{"name": "trimtab", "context": {"cluster": "trimtab", "user": name}}],
        "current-context": "trimtab",
    }
    return json.dumps(document, indent=1) + "\n"


def extensions(identity: Identity) -> str:
    """Write the openssl extension file of an identity: every one is a client, those that serve are servers too."""
    usage = "serverAuth, clientAuth" if identity.serves else "clientAuth"
    lines = ["basicConstraints = CA:FALSE", "keyUsage = digitalSignature", f"extendedKeyUsage = {usage}"]
    if identity.serves:
        lines.append(f"subjectAltName = {', '.join(identity.serves)}")
    return "\n".join(lines) + "\n"


def _write(path: Path, text: str) -> None:
    temporary = path.with_suffix(path.suffix + ".new")
    temporary.write_text(text)
    temporary.chmod(0o600)
    temporary.replace(path)


def _make_key(path: Path) -> None:
    _write(path, run(["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]))


def _self_sign(paths: Paths) -> None:
    command: list[object] = ["openssl", "req", "-x509", "-new", "-sha256", "-days", VALID_DAYS]
    command += ["-key", key(paths, "ca"), "-subj", "/CN=trimtab-cluster"]
    text = run([*command, "-addext", "keyUsage=critical,keyCertSign,cRLSign,digitalSignature"])
    _write(certificate(paths, "ca"), text)


def _sign(paths: Paths, identity: Identity) -> None:
    organization = f"/O={identity.organization}" if identity.organization else ""
    subject = f"{organization}/CN={identity.common_name}"
    request = run(["openssl", "req", "-new", "-sha256", "-key", key(paths, identity.name), "-subj", subject])
    extension_file = paths.certificates / f"{identity.name}.extensions"
    extension_file.write_text(extensions(identity))
    command: list[object] = ["openssl", "x509", "-req", "-sha256", "-days", VALID_DAYS, "-extfile", extension_file]
    text = run([*command, "-CA", certificate(paths, "ca"), "-CAkey", key(paths, "ca")], stdin=request)
    _write(certificate(paths, identity.name), text)
