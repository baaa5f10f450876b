"""The process settings, read once from the environment. A wrong value is refused by name, with what is accepted."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from trimtab_api.quantities import parse_bytes
from trimtab_operator.errors import InvalidSettings

LEAST_RECORDING_BYTES = 8 * 2**20
LOG_LEVELS = ("debug", "info", "warning", "error")


@dataclass(frozen=True)
class PrometheusSettings:
    """How to reach Prometheus. Files are re-read when they change: tokens rotate."""

    url: str
    bearer_token_file: str | None = None
    ca_file: str | None = None
    tenant_header: tuple[str, str] | None = None
    username: str | None = None
    password_file: str | None = None


@dataclass(frozen=True)
class LeaseSettings:
    """Leader election, seconds.

    Others wait `duration` after the last change that they saw; the holder stops writing `renew_deadline` after the last
    renewal that it sent; the difference covers a write that is already under way.
    """

    enabled: bool = True
    duration_seconds: float = 15.0
    renew_deadline_seconds: float = 10.0
    retry_seconds: float = 2.0

    @property
    def write_timeout_seconds(self) -> float:
        """Longest that a write may be under way: it ends before another can hold the Lease."""
        return (self.duration_seconds - self.renew_deadline_seconds) * 0.8


@dataclass(frozen=True)
class TrustSettings:
    """Rotation of our certificate authority, seconds.

    Engines get `settle` to read a new authority before anything is signed with it: a mounted ConfigMap follows within
    a minute or two. The one before it is trusted for `grace` longer: the last certificate that it signed lives 24 h.
    """

    settle_seconds: float = 180.0
    grace_seconds: float = 90_000.0

    @property
    def rotation_seconds(self) -> float:
        """From the publication of both authorities to the end of the older one."""
        return self.settle_seconds + self.grace_seconds


@dataclass(frozen=True)
class RecordingSettings:
    """Where ticks are kept to be run again, and how many bytes of them."""

    directory: Path
    limit_bytes: int


@dataclass(frozen=True)
class Settings:
    """All settings of the operator process."""

    pod_name: str
    pod_namespace: str
    prometheus: PrometheusSettings
    lease: LeaseSettings
    trust: TrustSettings
    label_namespace: str | None  # None: detected by a probe
    label_pod: str | None
    watch_namespaces: tuple[str, ...]  # empty: all
    mode_configmap: str | None  # None: no ceiling
    port: int
    log_level: str
    scrape_interval_seconds: float | None  # None: learned from the spacing of samples
    concurrency: int
    kubeconfig: str | None
    recording: RecordingSettings | None = None
    fail_point: str | None = None  # for tests only: where the process ends itself

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Settings:
        """Read the variables that CONTRACT names.

        Raises:
            InvalidSettings: a variable is missing or has a value that cannot work.
        """
        env = _Environ(environ)
        return cls(
            pod_name=env.text("POD_NAME") or "trimtab-operator",
            pod_namespace=env.text("POD_NAMESPACE") or "trimtab-system",
            prometheus=_prometheus(env),
            lease=_lease(env),
            trust=_trust(env),
            label_namespace=_label(env, "TRIMTAB_LABEL_NAMESPACE"),
            label_pod=_label(env, "TRIMTAB_LABEL_POD"),
            watch_namespaces=tuple(
                part.strip() for part in (env.text("TRIMTAB_WATCH_NAMESPACES") or "").split(",") if part.strip()
            ),
            mode_configmap=env.text("TRIMTAB_MODE_CONFIGMAP"),
            port=round(env.number("TRIMTAB_PORT", 9102, low=0, high=65535)),
            log_level=env.choice("TRIMTAB_LOG_LEVEL", "info", LOG_LEVELS),
            scrape_interval_seconds=_scrape_interval(env),
            concurrency=round(env.number("TRIMTAB_CONCURRENCY", 8, low=1, high=64)),
            kubeconfig=env.text("KUBECONFIG"),
            recording=_recording(env),
            fail_point=env.text("TRIMTAB_FAIL_POINT"),
        )


class _Environ:
    """The environment with types; empty counts as absent, as in a chart with an unset value."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def text(self, name: str) -> str | None:
        return self._environ.get(name, "").strip() or None

    def number(self, name: str, default: float, *, low: float, high: float) -> float:
        text = self.text(name)
        if text is None:
            return default
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not low <= value <= high:
            raise InvalidSettings(f"{name}={text!r}: must be a number from {low:g} to {high:g}")
        return value

    def choice(self, name: str, default: str, accepted: tuple[str, ...]) -> str:
        value = (self.text(name) or default).lower()
        if value not in accepted:
            raise InvalidSettings(f"{name}={value!r}: must be one of {', '.join(accepted)}")
        return value


def _prometheus(env: _Environ) -> PrometheusSettings:
    url = env.text("TRIMTAB_PROMETHEUS_URL")
    if url is None:
        raise InvalidSettings(
            "TRIMTAB_PROMETHEUS_URL is not set: give the address, as http://prometheus.monitoring:9090"
        )
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.netloc:
        raise InvalidSettings(f"TRIMTAB_PROMETHEUS_URL={url!r}: must begin with http:// or https:// and name a host")
    if parts.username is not None or parts.password is not None:
        raise InvalidSettings(
            "TRIMTAB_PROMETHEUS_URL holds credentials: use TRIMTAB_PROMETHEUS_USERNAME and _PASSWORD_FILE"
        )
    username, password_file = env.text("TRIMTAB_PROMETHEUS_USERNAME"), env.text("TRIMTAB_PROMETHEUS_PASSWORD_FILE")
    if (username is None) != (password_file is None):
        raise InvalidSettings("TRIMTAB_PROMETHEUS_USERNAME and TRIMTAB_PROMETHEUS_PASSWORD_FILE: set both or none")
    return PrometheusSettings(
        url=url.rstrip("/"),
        bearer_token_file=env.text("TRIMTAB_PROMETHEUS_BEARER_TOKEN_FILE"),
        ca_file=env.text("TRIMTAB_PROMETHEUS_CA_FILE"),
        tenant_header=_tenant_header(env.text("TRIMTAB_PROMETHEUS_TENANT_HEADER")),
        username=username,
        password_file=password_file,
    )


def _tenant_header(text: str | None) -> tuple[str, str] | None:
    if text is None:
        return None
    name, separator, value = text.partition("=")
    if not separator or not name.strip() or not value.strip():
        raise InvalidSettings(f"TRIMTAB_PROMETHEUS_TENANT_HEADER={text!r}: must be Name=value, as X-Scope-OrgID=team-a")
    return name.strip(), value.strip()


def _lease(env: _Environ) -> LeaseSettings:
    lease = LeaseSettings(
        enabled=env.choice("TRIMTAB_LEADER_ELECTION", "true", ("true", "false")) == "true",
        duration_seconds=env.number("TRIMTAB_LEASE_DURATION_SECONDS", 15, low=1, high=300),
        renew_deadline_seconds=env.number("TRIMTAB_LEASE_RENEW_DEADLINE_SECONDS", 10, low=0.5, high=240),
        retry_seconds=env.number("TRIMTAB_LEASE_RETRY_SECONDS", 2, low=0.1, high=60),
    )
    if not lease.duration_seconds > lease.renew_deadline_seconds > lease.retry_seconds:
        raise InvalidSettings(
            f"TRIMTAB_LEASE_DURATION_SECONDS={lease.duration_seconds:g}: must be greater than "
            f"TRIMTAB_LEASE_RENEW_DEADLINE_SECONDS={lease.renew_deadline_seconds:g}, and that greater than "
            f"TRIMTAB_LEASE_RETRY_SECONDS={lease.retry_seconds:g}"
        )
    return lease


def _trust(env: _Environ) -> TrustSettings:
    return TrustSettings(
        settle_seconds=env.number("TRIMTAB_CA_SETTLE_SECONDS", TrustSettings.settle_seconds, low=0, high=86_400),
        grace_seconds=env.number("TRIMTAB_CA_GRACE_SECONDS", TrustSettings.grace_seconds, low=0, high=864_000),
    )


def _recording(env: _Environ) -> RecordingSettings | None:
    directory, size = env.text("TRIMTAB_RECORDING_DIRECTORY"), env.text("TRIMTAB_RECORDING_SIZE") or "256Mi"
    if directory is None:
        return None
    if not Path(directory).is_absolute():
        raise InvalidSettings(f"TRIMTAB_RECORDING_DIRECTORY={directory!r}: must be an absolute path")
    try:
        limit_bytes = parse_bytes(size)
    except ValueError:
        limit_bytes = 0
    if limit_bytes < LEAST_RECORDING_BYTES:
        raise InvalidSettings(f"TRIMTAB_RECORDING_SIZE={size!r}: must be a size of at least 8Mi, as 256Mi")
    return RecordingSettings(Path(directory), limit_bytes)


def _label(env: _Environ, name: str) -> str | None:
    value = env.text(name)
    if value is None or value == "auto":
        return None
    if not (value[0].isalpha() or value[0] == "_") or not value.replace("_", "a").isalnum() or not value.isascii():
        raise InvalidSettings(f"{name}={value!r}: must be a Prometheus label name, or auto")
    return value


def _scrape_interval(env: _Environ) -> float | None:
    if env.text("TRIMTAB_SCRAPE_INTERVAL_SECONDS") in {None, "auto"}:
        return None
    return env.number("TRIMTAB_SCRAPE_INTERVAL_SECONDS", 0, low=1, high=3600)
