"""Sentences from docstrings: which are taken, and that they are always the same."""

from __future__ import annotations

import json
from pathlib import Path

from dev.load.recordings import recorded_keys
from dev.load.sentences import collect, kept_or_collected, sentences, sentences_in, spoken

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


def test_the_installed_docstrings_give_enough_distinct_sentences_for_the_recorded_keys() -> None:
    found = sentences()
    assert len(set(found)) == len(found) > len(set(recorded_keys()))


def test_sentences_of_several_files_are_told_apart_and_kept_in_order(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text('"""The first file has a sentence."""')
    (tmp_path / "b.py").write_text('"""The first file has a sentence. The second file has another one."""')
    assert collect([tmp_path / "a.py", tmp_path / "b.py"]) == (
        "The first file has a sentence.",
        "The second file has another one.",
    )


def test_kept_sentences_are_used_again_without_reading_the_sources(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text('"""The first file has a sentence."""')
    kept = tmp_path / "kept" / "sentences.json"
    assert kept_or_collected(kept, [tmp_path / "a.py"]) == ("The first file has a sentence.",)
    assert kept_or_collected(kept, []) == ("The first file has a sentence.",)


def test_a_broken_cache_is_read_anew(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text('"""The first file has a sentence."""')
    kept = tmp_path / "sentences.json"
    kept.write_text("[")
    assert kept_or_collected(kept, [tmp_path / "a.py"]) == ("The first file has a sentence.",)
    assert json.loads(kept.read_text()) == ["The first file has a sentence."]


def test_a_key_is_always_the_same_sentence_and_another_key_another_one() -> None:
    assert spoken([0, 2, 0, 5, 8], ["a", "b", "c"]) == ("a", "c", "a", "c (2)", "c (3)")
