"""Structured log: one JSON object per line and event. Inputs and answers are never logged."""

from __future__ import annotations

import sys
import time
from typing import TextIO

import msgspec

LogValue = str | int | float | bool | None


class Log:
    """Writes events to a stream; `event` is a constant snake_case word, the pairs carry what varies."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream if stream is not None else sys.stderr

    def event(self, event: str, **pairs: LogValue) -> None:
        """Write one line: `time` is Unix seconds."""
        line = msgspec.json.encode({"time": round(time.time(), 3), "event": event, **pairs})
        self._stream.write(line.decode() + "\n")
        self._stream.flush()
