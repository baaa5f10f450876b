"""How an image gets its tag, a hash of what decides its content, and how it is built and pushed only once."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from dev.cluster import buildah, registry
from dev.cluster.paths import REGISTRY, SOURCES, Paths
from dev.cluster.shell import locked

RECIPES = SOURCES / "images"


def content_key(parts: Iterable[bytes | str | Path]) -> str:
    """Make a tag for an image: a hash over texts and over the names and contents of files and folders.

    Caches of interpreters and tools inside folders do not count.
    """
    digest = hashlib.sha256()
    for part in parts:
        for piece in _pieces(part):
            digest.update(len(piece).to_bytes(8, "big"))
            digest.update(piece)
    return digest.hexdigest()[:20]


def _pieces(part: bytes | str | Path) -> Iterable[bytes]:
    if isinstance(part, bytes):
        yield part
    elif isinstance(part, str):
        yield part.encode()
    elif part.is_dir():
        for file in sorted(file for file in part.rglob("*") if file.is_file() and "__pycache__" not in file.parts):
            yield str(file.relative_to(part)).encode()
            yield file.read_bytes()
    else:
        yield part.name.encode()
        yield part.read_bytes()


def reference(name: str, key: str) -> str:
    """Return the full name of an image in our registry."""
    return f"{REGISTRY}/trimtab/{name}:{key}"


def ensure(paths: Paths, name: str, key: str, build: Callable[[str], None]) -> str:
    """Build and push the image unless the registry has it; `build` makes the local tag that it is given."""
    full = reference(name, key)
    if registry.has(full):
        return full
    with locked(paths.cache / "images.lock"):
        if not registry.has(full):
            tag = f"localhost/trimtab/{name}:{key}"
            build(tag)
            buildah.push(paths, tag, full)
    return full


def build_with_files(paths: Paths, tag: str, recipe: str, files: Iterable[Path], arguments: dict[str, str]) -> None:
    """Build a recipe of ours with files from elsewhere beside it."""
    with tempfile.TemporaryDirectory(prefix=f"trimtab-{recipe}-") as folder:
        for file in files:
            shutil.copy2(file, Path(folder) / file.name)
        dockerfile = RECIPES / recipe / "Dockerfile"
        buildah.build(paths, tag=tag, dockerfile=dockerfile, context=Path(folder), arguments=arguments)
