"""The load of the second act: one run without a break, beside whatever else happens, until it is stopped."""

from __future__ import annotations

import threading
from types import TracebackType

from dev.demo.arms import Teller
from dev.demo.errors import DemoError
from dev.demo.narration import Narrator
from dev.load.errors import LoadError
from dev.load.outcomes import Run
from dev.load.plan import LoadPlan
from dev.load.process import LoadProcess

PROGRESS_SECONDS = 15.0


class Traffic:
    """Starts with the `with` block; leaving the block ends what is still sent."""

    def __init__(self, plan: LoadPlan, narrator: Narrator) -> None:
        self._process = LoadProcess(plan, progress_seconds=PROGRESS_SECONDS)
        self._teller = Teller(narrator)
        self._thread = threading.Thread(target=self._follow, name="traffic", daemon=True)
        self._run: Run | None = None
        self._error: LoadError | None = None

    def __enter__(self) -> Traffic:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.stop()
        self._thread.join()
        self._process.__exit__(kind, error, trace)

    def check(self) -> None:
        """Raise DemoError when the load has ended before it was told to."""
        if not self._thread.is_alive():
            raise DemoError(f"the load ended too early: {self._error or 'its schedule was over'}")

    def stop(self) -> Run:
        """End the schedule and return the whole run; raises DemoError with the load's own words when it failed."""
        self._process.stop()
        self._thread.join()
        if self._run is None:
            raise DemoError(str(self._error))
        return self._run

    def _follow(self) -> None:
        try:
            self._run = self._process.wait(self._teller)
        except LoadError as error:
            self._error = error
