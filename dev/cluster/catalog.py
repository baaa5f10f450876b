"""The images that the cluster, the demo and the tests use, one function each."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from dev.cluster import buildah, images
from dev.cluster.base import base
from dev.cluster.binaries import PROMETHEUS, Binaries, build_one
from dev.cluster.paths import REPOSITORY, Paths
from dev.cluster.shell import locked, run, succeeds

_CODE = ("operator", "agent", "crds")
_CACHE_INSIDE = "/var/cache/uv"
_PUBLIC_BASE = "docker.io/library/python:3.11-slim-bookworm"


def pause(paths: Paths) -> str:
    """Return the sandbox image: a static C program, or `sleep` on the base image where there is no C compiler."""
    source = images.RECIPES / "pause" / "pause.c"
    if not succeeds(["gcc", "--version"]):
        return _sleeping_base(paths)

    def build(tag: str) -> None:
        with tempfile.TemporaryDirectory(prefix="trimtab-pause-") as folder:
            program = Path(folder) / "pause"
            run(["gcc", "-Os", "-static", "-s", "-Wall", "-Werror", "-o", program, source])
            images.build_with_files(paths, tag, "pause", [program], {})

    return images.ensure(paths, "pause", images.content_key([images.RECIPES / "pause"]), build)


def coredns(paths: Paths, binaries: Binaries) -> str:
    """CoreDNS alone in an image; the directory of the program is named after its build."""
    program = binaries.coredns / "coredns"
    key = images.content_key([images.RECIPES / "coredns", str(binaries.coredns.parent.name)])
    return images.ensure(
        paths, "coredns", key, lambda tag: images.build_with_files(paths, tag, "coredns", [program], {})
    )


def _sleeping_base(paths: Paths) -> str:
    recipe = 'ARG BASE\nFROM ${BASE}\nENTRYPOINT ["/usr/bin/sleep", "infinity"]\n'
    origin = base(paths)

    def build(tag: str) -> None:
        with tempfile.TemporaryDirectory(prefix="trimtab-pause-") as folder:
            dockerfile = Path(folder) / "Dockerfile"
            dockerfile.write_text(recipe)
            buildah.build(paths, tag=tag, dockerfile=dockerfile, context=Path(folder), arguments={"BASE": origin})

    return images.ensure(paths, "pause", images.content_key([recipe, origin]), build)


def prometheus(paths: Paths, binaries: Binaries) -> str:
    """Return Prometheus alone in an image."""
    program = binaries.prometheus / "prometheus"
    return images.ensure(
        paths,
        "prometheus",
        _prometheus_key(program),
        lambda tag: images.build_with_files(paths, tag, "prometheus", [program], {}),
    )


def _prometheus_key(program: Path) -> str:
    """Hash the recipe and the key of the build, which is the name of a directory above the program."""
    return images.content_key([images.RECIPES / "prometheus", program.parent.parent.name])


def _ours(paths: Paths, target: str) -> str:
    """Build one target of the Dockerfile at the root of the repository on the local base image."""
    origin = base(paths)
    key = _our_key(target, origin)
    return images.ensure(paths, target, key, lambda tag: _build_ours(paths, target, origin, tag))


def _our_key(target: str, origin: str) -> str:
    sources = [REPOSITORY / name for name in ("Dockerfile", "pyproject.toml", "README.md", "LICENSE", *_CODE)]
    locks = [REPOSITORY / "requirements" / f"{name}.txt" for name in ("build", target, "demo")]
    return images.content_key([*sources, *locks, origin])


def _build_ours(paths: Paths, target: str, origin: str, tag: str) -> None:
    buildah.build(
        paths,
        tag=tag,
        dockerfile=REPOSITORY / "Dockerfile",
        context=REPOSITORY,
        target=target,
        arguments={"BASE": origin, "PACKAGE_CACHE": _CACHE_INSIDE, "MODEL": "demo"},
        # The host's certificates and downloads are there while it builds and in no layer.
        volumes=["/etc/ssl/certs:/etc/ssl/certs:ro", f"{_download_cache(paths)}:{_CACHE_INSIDE}"],
    )


def _download_cache(paths: Paths) -> Path:
    """Return uv's own cache where there is one, so that what `make setup` fetched is not fetched again."""
    own = Path(os.environ.get("UV_CACHE_DIR") or Path.home() / ".cache" / "uv")
    cache = own if own.is_dir() else paths.cache / "uv"
    cache.mkdir(parents=True, exist_ok=True)
    return cache


def everything(paths: Paths, binaries: Binaries) -> dict[str, str]:
    """Build and push what changed of every image; returns references by name."""
    return {
        "base": base(paths),
        "control": _ours(paths, "control"),
        "coredns": coredns(paths, binaries),
        "engine": _ours(paths, "engine"),
        "pause": pause(paths),
        "prometheus": prometheus(paths, binaries),
    }


def elsewhere(paths: Paths, registry: str) -> dict[str, str]:
    """Build operator, agent and engine on the public base image, and Prometheus; push them to a registry."""
    origin = os.environ.get("TRIMTAB_BASE_IMAGE") or _PUBLIC_BASE
    references = {"base": origin}
    for target in ("control", "engine"):
        full = f"{registry}/trimtab/{target}:{_our_key(target, origin)}"
        with locked(paths.cache / "images.lock"):
            _build_ours(paths, target, origin, full)
            buildah.push(paths, full, full)
        references[target] = full
    program = build_one(PROMETHEUS, paths) / "prometheus"
    full = f"{registry}/trimtab/prometheus:{_prometheus_key(program)}"
    with locked(paths.cache / "images.lock"):
        images.build_with_files(paths, full, "prometheus", [program], {})
        buildah.push(paths, full, full)
    return {**references, "prometheus": full}
