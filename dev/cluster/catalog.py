"""The images that the cluster, the demo and the tests use, one function each."""

from __future__ import annotations

import tempfile
from pathlib import Path

from dev.cluster import buildah, images
from dev.cluster.base import base
from dev.cluster.binaries import Binaries
from dev.cluster.paths import Paths
from dev.cluster.shell import run, succeeds


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


def prometheus(paths: Paths) -> str:
    """Debian's Prometheus and promtool from the host, on the base image."""
    programs = [Path("/usr/bin/prometheus"), Path("/usr/bin/promtool")]
    origin = base(paths)
    key = images.content_key([images.RECIPES / "prometheus", origin, *programs])
    return images.ensure(
        paths,
        "prometheus",
        key,
        lambda tag: images.build_with_files(paths, tag, "prometheus", programs, {"BASE": origin}),
    )
