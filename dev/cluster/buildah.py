"""Building and pushing images with buildah: private storage, and a mount namespace that no mount escapes from."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from dev.cluster.errors import ClusterError
from dev.cluster.paths import REGISTRY, Paths
from dev.cluster.shell import run_with_progress

# Pulling is only ever from our own registry, by tags that are content hashes.
_POLICY = '{"default": [{"type": "insecureAcceptAnything"}]}\n'

# Written to whatever storage root and settings buildah is given.
_BUILTIN = ("/var/lib/containers", "/run/containers")


def build(
    paths: Paths,
    *,
    tag: str,
    dockerfile: Path,
    context: Path,
    target: str | None = None,
    arguments: Mapping[str, str] | None = None,
    volumes: Sequence[str] = (),
) -> None:
    """Build one target of a Dockerfile and tag it; unchanged steps come from earlier builds."""
    command = ["build", "--isolation", "chroot", "--layers", "--format", "oci"]
    local_base = (arguments or {}).get("BASE", "").startswith(REGISTRY)
    command += ["--tls-verify=false"] if local_base else []
    command += ["--tag", tag, "--file", str(dockerfile)]
    command += ["--target", target] if target else []
    for name, value in (arguments or {}).items():
        command += ["--build-arg", f"{name}={value}"]
    for volume in volumes:
        command += ["--volume", volume]
    _buildah(paths, [*command, str(context)], what=f"building image {tag}")


def push(paths: Paths, tag: str, reference: str) -> None:
    """Push a local tag to a registry; what it has already is neither packed nor sent again.

    Registries on the loopback interface are spoken to without TLS.
    """
    loopback = reference.startswith(("127.0.0.1:", "localhost:"))
    command = ["push", f"--tls-verify={str(not loopback).lower()}"]
    # zstd packs and unpacks the gigabytes of torch in less time than gzip, which every other cluster knows.
    command += ["--compression-format", "zstd", "--compression-level", "1"] if loopback else []
    command += [tag, f"docker://{reference}"]
    _buildah(paths, command, what=f"pushing {reference}")


def _buildah(paths: Paths, command: Sequence[str], *, what: str) -> None:
    """Run buildah in a mount namespace of its own where its built-in system directories are private ones."""
    if shutil.which("buildah") is None or os.geteuid() != 0:
        raise ClusterError(
            "images are built with `buildah` as root: install it, or push images that you built yourself"
        )
    home = paths.buildah
    for name in ("storage", "run", "tmp", "networks"):
        (home / name).mkdir(parents=True, exist_ok=True)
    policy = home / "policy.json"
    policy.write_text(_POLICY)
    settings = home / "containers.conf"
    settings.write_text(f'[network]\nnetwork_config_dir = "{home / "networks"}"\n')
    words = ["buildah", "--root", str(home / "storage"), "--runroot", str(home / "run"), "--storage-driver", "overlay"]
    words += [command[0], "--signature-policy", str(policy), *command[1:]]
    script = f"""\
set -e
made=
cleanup() {{
    umount {" ".join(_BUILTIN)} 2>/dev/null || true
    for directory in $made; do rmdir "$directory" 2>/dev/null || true; done
}}
trap cleanup EXIT
for directory in {" ".join(_BUILTIN)}; do
    [ -d "$directory" ] || {{ mkdir "$directory"; made="$made $directory"; }}
    mkdir -p {shlex.quote(str(home))}/builtin"$directory"
    mount --bind {shlex.quote(str(home))}/builtin"$directory" "$directory"
done
{shlex.join(words)}
"""
    run_with_progress(
        ["unshare", "--mount", "--propagation", "private", "sh", "-c", script],
        what=what,
        log=paths.cache / "logs" / "images.log",
        environment={"TMPDIR": str(home / "tmp"), "CONTAINERS_CONF": str(settings), "PATH": _path()},
    )


def _path() -> str:
    return f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
