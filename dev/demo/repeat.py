"""Does one thing once a second beside the story, and tells when it cannot."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType

from dev.demo.errors import DemoError
from dev.demo.narration import Narrator

INTERVAL_SECONDS = 1.0


class Repeat:
    """A thread that calls `look` from entering the `with` block to leaving it."""

    def __init__(self, look: Callable[[], None], narrator: Narrator) -> None:
        self._look = look
        self._narrator = narrator
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def __enter__(self) -> Repeat:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            started = time.monotonic()
            try:
                self._look()
            except DemoError as error:
                self._narrator.say(f"could not look: {error}")
            self._stop.wait(max(0.05, INTERVAL_SECONDS - (time.monotonic() - started)))
