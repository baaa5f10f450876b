"""English sentences for request bodies: docstrings of the standard library and numpy, read without importing."""

from __future__ import annotations

import ast
import hashlib
import importlib.metadata
import importlib.util
import json
import os
import platform
import re
import sysconfig
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path

SHORTEST_WORDS = 5
LONGEST_WORDS = 30
_SKIPPED_FOLDERS = {"test", "tests", "site-packages", "dist-packages", "lib2to3", "idlelib", "turtledemo"}
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")


@cache
def sentences() -> tuple[str, ...]:
    """Return every distinct sentence of 5 to 30 words, in the order of the sorted source files.

    The same Python and numpy give the same sentences; they are read once and kept in the cache directory, since
    reading them takes some seconds.
    """
    return kept_or_collected(_cache_file(), _sources())


def kept_or_collected(kept: Path, sources: Iterable[Path]) -> tuple[str, ...]:
    """Return the sentences in the file `kept`; where there is none, read the sources and keep what they hold."""
    try:
        found: list[str] = json.loads(kept.read_text())
    except (OSError, ValueError):
        found = list(collect(sources))
        _keep(kept, found)
    return tuple(found)


def collect(sources: Iterable[Path]) -> tuple[str, ...]:
    """Read files in order and return their distinct sentences."""
    found: dict[str, None] = {}
    for source in sources:
        for sentence in sentences_in(source.read_bytes()):
            found.setdefault(sentence)
    return tuple(found)


def _cache_file() -> Path:
    folder = Path(os.environ.get("TRIMTAB_CACHE") or Path.home() / ".cache" / "trimtab")
    versions = f"{platform.python_version()}-{importlib.metadata.version('numpy')}"
    rules = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:12]
    return folder / "sentences" / f"{versions}-{rules}.json"


def _keep(path: Path, found: list[str]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f"{path.name}.{os.getpid()}")
        partial.write_text(json.dumps(found))
        partial.replace(path)
    except OSError:
        return  # a cache that cannot be written costs the next start some seconds, nothing else


def sentences_in(source: bytes) -> Iterator[str]:
    """Yield the usable sentences of the docstrings of one Python file; none for a file that does not parse."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            for paragraph in (ast.get_docstring(node) or "").split("\n\n"):
                yield from filter(_is_usable, _SENTENCE_END.split(" ".join(paragraph.split())))


def spoken(keys: Sequence[int], vocabulary: Sequence[str]) -> tuple[str, ...]:
    """Return the sentence of each key, another one for each: beyond the vocabulary it starts again, with a mark."""
    return tuple(_sentence(*divmod(key, len(vocabulary)), vocabulary) for key in keys)


def _sentence(turn: int, position: int, vocabulary: Sequence[str]) -> str:
    return f"{vocabulary[position]} ({turn + 1})" if turn else vocabulary[position]


def _is_usable(sentence: str) -> bool:
    words = len(sentence.split())
    plain = sentence.isascii() and sentence[:1].isupper() and sentence.endswith(".") and ">>>" not in sentence
    return plain and SHORTEST_WORDS <= words <= LONGEST_WORDS


def _sources() -> Iterator[Path]:
    roots = [Path(sysconfig.get_path("stdlib"))]
    numpy = importlib.util.find_spec("numpy")
    if numpy is not None and numpy.origin is not None:
        roots.append(Path(numpy.origin).parent)
    for root in roots:
        for path in sorted(root.rglob("*.py")):
            if not _SKIPPED_FOLDERS & set(path.relative_to(root).parts):
                yield path
