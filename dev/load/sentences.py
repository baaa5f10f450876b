"""English sentences for request bodies: docstrings of the standard library and numpy, read without importing."""

from __future__ import annotations

import ast
import importlib.util
import re
import sysconfig
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path

from dev.load.errors import LoadError

SHORTEST_WORDS = 5
LONGEST_WORDS = 30
_SKIPPED_FOLDERS = {"test", "tests", "site-packages", "dist-packages", "lib2to3", "idlelib", "turtledemo"}
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")


@cache
def sentences(count: int) -> tuple[str, ...]:
    """Return the first `count` distinct sentences of 5 to 30 words, in the order of the sorted source files.

    The same Python and numpy give the same sentences. Raises LoadError when there are fewer.
    """
    return collect(count, _sources())


def collect(count: int, sources: Iterable[Path]) -> tuple[str, ...]:
    """Read files in order until `count` distinct sentences are found; raises LoadError when there are fewer."""
    found: dict[str, None] = {}
    for source in sources:
        for sentence in sentences_in(source.read_bytes()):
            found.setdefault(sentence)
        if len(found) >= count:
            return tuple(found)[:count]
    raise LoadError(f"{count} sentences were asked for, the installed docstrings hold {len(found)}")


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
    """Return the sentence of each key; keys beyond the vocabulary start again at its beginning."""
    return tuple(vocabulary[key % len(vocabulary)] for key in keys)


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
