"""Texts to token rows, in the front process, by the model's own tokenizer.json."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from trimtab_engine.errors import BadRequest, SettingError
from trimtab_engine.jobs import TokenRow
from trimtab_engine.model_directory import ModelDescription


class TextTokenizer:
    """Tokenizes, truncates to the model's length and never pads: padding belongs to the batch."""

    def __init__(self, description: ModelDescription) -> None:
        self.seconds = 0.0  # spent on tokenizing so far, on whichever thread
        self._counting = threading.Lock()
        path = Path(description.directory) / "tokenizer.json"
        try:
            self._tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # the library raises bare Exception
            raise SettingError(f"{path} cannot be read: {error}") from error
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(max_length=description.max_tokens)

    def encode(self, texts: list[str]) -> list[TokenRow]:
        """One row per text, in order."""
        began = time.perf_counter()
        encodings = self._tokenizer.encode_batch_fast(texts)
        rows = [TokenRow(np.array(encoding.ids, dtype=np.int32)) for encoding in encodings]
        with self._counting:
            self.seconds += time.perf_counter() - began
        return rows


def check_token_row(row: TokenRow, description: ModelDescription, name: str, index: int) -> None:
    """Refuse a row that the model cannot take.

    Raises:
        BadRequest: too short or long, an id outside the vocabulary, or a mask that hides every token.
    """
    if not 1 <= len(row.ids) <= description.max_tokens:
        raise BadRequest(
            f"{name}[{index}] has {len(row.ids)} tokens; accepted are 1 to {description.max_tokens}", param=name
        )
    low, high = int(row.ids.min()), int(row.ids.max())
    if low < 0 or high >= description.vocabulary_size:
        raise BadRequest(
            f"{name}[{index}] holds token id {low if low < 0 else high}; "
            f"accepted are 0 to {description.vocabulary_size - 1}",
            param=name,
        )
    if row.mask is not None and not row.mask.any():
        raise BadRequest(f"attention_mask[{index}] hides every token; at least one must be 1", param=name)
