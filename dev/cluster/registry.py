"""The image registry on the loopback interface; its storage lies in the cache and outlives the cluster."""

from __future__ import annotations

import urllib.error
import urllib.request

from dev.cluster.control_plane import write_configuration
from dev.cluster.paths import REGISTRY, Paths
from dev.cluster.processes import Program, ensure_running, wait_ready

NAME = "registry"
_ACCEPTED = ", ".join(
    ("application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json")
)


def configuration(paths: Paths) -> dict[str, object]:
    """Describe the registry's configuration, complete: nothing is taken from the system's."""
    return {
        "version": 0.1,
        "log": {"level": "warn", "accesslog": {"disabled": True}},
        "storage": {
            "filesystem": {"rootdirectory": str(paths.registry_storage)},
            "delete": {"enabled": True},
            "maintenance": {"uploadpurging": {"enabled": True, "age": "1h", "interval": "1h", "dryrun": False}},
        },
        "http": {"addr": REGISTRY},
    }


def start(paths: Paths) -> None:
    """Start the registry unless it runs; returns when it answers."""
    paths.registry_storage.mkdir(parents=True, exist_ok=True)
    file = paths.configuration / "registry.json"
    write_configuration(file, configuration(paths))
    ensure_running(paths, Program(NAME, ("/usr/bin/docker-registry", "serve", str(file)), inputs=(file,)))
    wait_ready(paths, NAME, answers, timeout_seconds=20)


def answers() -> bool:
    """Whether a registry answers at our address."""
    return _status("/v2/") == 200


def has(reference: str) -> bool:
    """Whether the registry holds the image `host:port/name:tag`."""
    name, tag = reference.removeprefix(f"{REGISTRY}/").rsplit(":", 1)
    return _status(f"/v2/{name}/manifests/{tag}") == 200


def _status(path: str) -> int | None:
    request = urllib.request.Request(f"http://{REGISTRY}{path}", method="HEAD", headers={"Accept": _ACCEPTED})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return None
