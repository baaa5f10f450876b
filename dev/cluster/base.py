"""The local base image: Debian with Python, made by debootstrap from the mirror that this machine uses anyway."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path

from dev.cluster import images
from dev.cluster.errors import ClusterError
from dev.cluster.paths import Paths
from dev.cluster.shell import run_with_progress

SUITE = "bookworm"
PACKAGES = ("ca-certificates", "python3", "python3-venv")
# Nothing that runs needs these, and every engine pod would carry them.
_LEAVE_OUT = (
    "./var/cache/apt/*",
    "./var/lib/apt/lists/*",
    "./usr/share/doc/*",
    "./usr/share/man/*",
    "./usr/share/locale/*",
    "./var/log/*",
    "./dev/*",
    "./etc/apt/sources.list",
    "./etc/hostname",
    "./etc/resolv.conf",
)


def mirror(sources: str) -> str | None:
    """Find the first Debian mirror in apt sources, of either format, that has our suite; None when there is none."""
    for paragraph in re.split(r"\n\s*\n", sources):
        uri = re.search(r"^URIs:\s*(\S+)", paragraph, flags=re.MULTILINE)
        suites = re.search(r"^Suites:\s*(.*)$", paragraph, flags=re.MULTILINE)
        if uri and suites and SUITE in suites[1].split():
            return uri[1]
    found = re.search(rf"^deb\s+(?:\[[^\]]*\]\s+)?(\S+)\s+{SUITE}\s", sources, flags=re.MULTILINE)
    return found[1] if found else None


def _apt_sources() -> str:
    folder = Path("/etc/apt")
    files = [folder / "sources.list", *sorted((folder / "sources.list.d").glob("*"))]
    return "\n\n".join(file.read_text(errors="replace") for file in files if file.is_file())


def base(paths: Paths) -> str:
    """Return the base image's reference; the root file system is kept in the cache, and made in about two minutes."""
    key = images.content_key([images.RECIPES / "base", SUITE, " ".join(PACKAGES), " ".join(_LEAVE_OUT)])

    def build(tag: str) -> None:
        archive = _root_file_system(paths, key)
        images.build_with_files(paths, tag, "base", [archive], {})

    return images.ensure(paths, "base", key, build)


def _root_file_system(paths: Paths, key: str) -> Path:
    archive = paths.cache / "base" / key / "rootfs.tar"
    if archive.exists():
        return archive
    source = mirror(_apt_sources())
    if source is None:
        raise ClusterError(f"no Debian mirror with {SUITE} in this machine's apt sources: the base image needs one")
    archive.parent.mkdir(parents=True, exist_ok=True)
    log = paths.cache / "logs" / "base.log"
    environment = {"PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"}
    with tempfile.TemporaryDirectory(prefix="trimtab-base-", dir=archive.parent) as folder:
        root = Path(folder) / "root"
        include = f"--include={','.join(PACKAGES)}"
        run_with_progress(
            # A mount namespace: debootstrap mounts /proc inside, and an interrupted one would leave it there.
            [
                *["unshare", "--mount", "--propagation", "private", "debootstrap", "--variant=minbase"],
                include,
                SUITE,
                root,
                source,
            ],
            what="building the base image's root file system (debootstrap)",
            log=log,
            environment=environment,
        )
        temporary = archive.with_suffix(".new")
        leave_out = [f"--exclude={pattern}" for pattern in _LEAVE_OUT]
        run_with_progress(
            ["tar", "--numeric-owner", *leave_out, "-C", root, "-cf", temporary, "."], what="packing it", log=log
        )
    temporary.replace(archive)
    return archive
