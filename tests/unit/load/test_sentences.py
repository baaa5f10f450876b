"""Sentences from docstrings: which are taken, and that they are always the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from dev.load.errors import LoadError
from dev.load.sentences import collect, sentences, sentences_in, spoken

SOURCE = b'''
"""Opens the gate of the garden. Too short. not a sentence that starts with a capital.

A second paragraph is split
over two lines.
"""
def swing():
    """Return >>> code instead of some words here."""
class Gate:
    """This one has no end of sentence"""
'''


def test_sentences_are_whole_capitalized_and_of_five_to_thirty_words() -> None:
    assert list(sentences_in(SOURCE)) == [
        "Opens the gate of the garden.",
        "A second paragraph is split over two lines.",
    ]


def test_a_file_that_does_not_parse_gives_no_sentence() -> None:
    assert list(sentences_in(b"def (")) == []


def test_the_installed_docstrings_give_distinct_sentences_in_the_same_order_each_time() -> None:
    found = sentences(300)
    assert len(set(found)) == 300
    assert found == sentences(300)
    assert found[:100] == sentences(100)


def test_more_sentences_than_there_are_is_refused_with_their_number(tmp_path: Path) -> None:
    (tmp_path / "garden.py").write_bytes(SOURCE)
    assert len(collect(2, [tmp_path / "garden.py"])) == 2
    with pytest.raises(LoadError, match="docstrings hold 2"):
        collect(3, [tmp_path / "garden.py"])


def test_a_key_is_always_the_same_sentence() -> None:
    assert spoken([0, 2, 0, 5], ["a", "b", "c"]) == ("a", "c", "a", "c")
