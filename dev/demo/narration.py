"""Prints what happens while it happens: with the time since the start, coloured only on a terminal."""

from __future__ import annotations

import threading
import time

from rich.console import Console
from rich.text import Text


class Narrator:
    """Writes one line at a time; threads may share it."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False, soft_wrap=True)
        self._started = time.monotonic()
        self._lock = threading.Lock()

    @property
    def elapsed_seconds(self) -> float:
        """Time since the demo began."""
        return time.monotonic() - self._started

    def headline(self, text: str) -> None:
        """Begin a new part of the story."""
        self._write(Text(f"\n== {text}", style="bold cyan"))

    def say(self, text: str) -> None:
        """Tell one thing that happened."""
        self._write(Text.assemble((self._clock(), "dim"), " ", text))

    def stress(self, text: str) -> None:
        """Tell one thing that the reader should not miss."""
        self._write(Text.assemble((self._clock(), "dim"), " ", (text, "bold yellow")))

    def block(self, text: str) -> None:
        """Print text as it is, such as a table."""
        self._write(Text(text))

    def failure(self, text: str) -> None:
        """Print what went wrong."""
        self._write(Text(text, style="bold red"))

    def success(self, text: str) -> None:
        """Print what was shown."""
        self._write(Text(text, style="bold green"))

    def _clock(self) -> str:
        minutes, seconds = divmod(int(self.elapsed_seconds), 60)
        return f"{minutes:02d}:{seconds:02d}"

    def _write(self, text: Text) -> None:
        with self._lock:
            self._console.print(text)
