"""Upstream programs built from pinned Go modules, once for each set of inputs, outside the checkout."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dev.cluster.errors import ClusterError
from dev.cluster.paths import SOURCES, Paths
from dev.cluster.shell import locked, run, run_with_progress, say

KUBERNETES_VERSION = "v1.36.3"


@dataclass(frozen=True)
class Module:
    """One Go module whose `tool` block names the programs to build.

    `programs` are the file names that the build must leave; `linked` are values set at link time, `tags` build tags;
    `environment` is what the compiler sees beside the user's own settings.
    """

    name: str
    programs: tuple[str, ...]
    linked: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def flags(self) -> tuple[str, ...]:
        words = ["-s", "-w", *(f"-X {value}" for value in self.linked)]
        tags = ("-tags", ",".join(self.tags)) if self.tags else ()
        return ("-trimpath", "-buildvcs=false", "-mod=readonly", *tags, "-ldflags", " ".join(words))

    @property
    def directory(self) -> Path:
        return SOURCES / "go" / self.name


_MAJOR, _MINOR, _ = KUBERNETES_VERSION.removeprefix("v").split(".")
_STATIC = {"CGO_ENABLED": "0"}

KUBERNETES = Module(
    "kubernetes",
    ("kube-apiserver", "kube-controller-manager", "kube-proxy", "kube-scheduler", "kubectl", "kubelet"),
    linked=(
        f"k8s.io/component-base/version.gitVersion={KUBERNETES_VERSION}",
        f"k8s.io/component-base/version.gitMajor={_MAJOR}",
        f"k8s.io/component-base/version.gitMinor={_MINOR}",
    ),
)
# Static: CoreDNS and Prometheus run in images that hold nothing else.
ETCD = Module("etcd", ("server",), environment=_STATIC)
HELM = Module("helm", ("helm",), environment=_STATIC)
COREDNS = Module("coredns", ("coredns",), environment=_STATIC)
# Without the service discoveries of thirty clouds, and without the web interface, which takes Node.js to build.
PROMETHEUS = Module("prometheus", ("prometheus",), tags=("remove_all_sd", "enable_kubernetes_sd"), environment=_STATIC)
MODULES = (KUBERNETES, ETCD, COREDNS, HELM, PROMETHEUS)


def build_key(files: Sequence[bytes], flags: Sequence[str], environment: dict[str, str], go_version: str) -> str:
    """Return the name under which a build is kept: a hash over everything that decides what comes out."""
    digest = hashlib.sha256()
    parts = [*files, *(flag.encode() for flag in flags), go_version.encode()]
    parts += [f"{key}={value}".encode() for key, value in sorted(environment.items())]
    for part in parts:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.hexdigest()[:20]


def go_version() -> str:
    """Version and platform of the compiler; raises ClusterError when Go is missing or too old for the modules."""
    try:
        answer = run(["go", "env", "GOVERSION", "GOOS", "GOARCH"]).split()
    except ClusterError as error:
        raise ClusterError("Go 1.26 or newer is needed to build Kubernetes: install it and put `go` on PATH") from error
    major, minor = answer[0].removeprefix("go").split(".")[:2]
    if (int(major), int("".join(filter(str.isdigit, minor)) or 0)) < (1, 26):
        raise ClusterError(f"Go 1.26 or newer is needed to build Kubernetes; `go` on PATH is {answer[0]}")
    return " ".join(answer)


def directory_of(module: Module, paths: Paths, compiler: str) -> Path:
    """Where the programs of a module lie once built with this compiler."""
    files = [(module.directory / name).read_bytes() for name in ("go.mod", "go.sum")]
    key = build_key(files, module.flags, module.environment, compiler)
    return paths.cache / "bin" / key / module.name


def build(module: Module, paths: Paths, compiler: str) -> Path:
    """Build a module unless its key is there already, and return the directory with its programs.

    The build happens beside the final place and is renamed into it, so a half-built set is never seen.
    """
    final = directory_of(module, paths, compiler)
    if final.is_dir():
        return final
    log = paths.cache / "logs" / f"build-{module.name}.log"
    log.unlink(missing_ok=True)
    final.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{module.name}.", dir=final.parent))
    try:
        run_with_progress(
            ["go", "build", "-o", f"{temporary}{os.sep}", *module.flags, "tool"],
            what=f"building {module.name} ({', '.join(module.programs)})",
            log=log,
            environment={**module.environment, "GOWORK": "off"},
            directory=module.directory,
        )
        missing = [name for name in module.programs if not (temporary / name).is_file()]
        if missing:
            raise ClusterError(f"the build of {module.name} left no {', '.join(missing)}; see {log}")
        temporary.chmod(0o755)
        temporary.rename(final)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return final


def build_one(module: Module, paths: Paths) -> Path:
    """Build one module where only its programs are needed; returns the directory with them."""
    with locked(paths.cache / "build.lock"):
        return build(module, paths, go_version())


@dataclass(frozen=True)
class Binaries:
    """Directories of the built programs."""

    kubernetes: Path
    etcd: Path
    helm: Path
    coredns: Path
    prometheus: Path


def build_all(paths: Paths) -> Binaries:
    """Build what is missing; the first time takes about twenty minutes on two cores."""
    compiler = go_version()
    if not all(directory_of(module, paths, compiler).is_dir() for module in MODULES):
        say("building upstream programs from source; kept in the cache for the next time")
    # One build at a time: a second run waits for the first one's result instead of making the same.
    with locked(paths.cache / "build.lock"):
        done = {module.name: build(module, paths, compiler) for module in MODULES}
    _link_tools(paths, done)
    return Binaries(**done)


def _link_tools(paths: Paths, done: dict[str, Path]) -> None:
    """Keep one directory for PATH with kubectl and helm, whatever their keys are at present."""
    tools = paths.tools
    tools.mkdir(parents=True, exist_ok=True)
    for module, name in (("kubernetes", "kubectl"), ("helm", "helm")):
        temporary = tools / f".{name}.{os.getpid()}"
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(done[module] / name)
        temporary.replace(tools / name)
