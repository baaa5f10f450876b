"""One engine whose settings are changed while it is loaded: the engine, the agent it asks, and the load process."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from bench.engine.contenders import ONE_THREAD
from bench.engine.corpus import MODEL, request_body
from bench.engine.errors import BenchError
from bench.engine.extent import Extent
from bench.engine.field import SERVER_CORE
from bench.engine.line_process import LineProcess
from bench.engine_process import EngineProcess

REPORT_SECONDS = 30.0


class LiveEngine:
    """Started and ready; leaving the `with` block ends all three. `workload` names the inputs of the load."""

    def __init__(
        self, workload: str, settings: Mapping[str, str], extent: Extent, *, core: int | None = SERVER_CORE
    ) -> None:
        """Start all, the engine on this core; None = on any. Raises BenchError."""
        self._core = core
        self._workload, self._extent = workload, extent
        self._folder = tempfile.TemporaryDirectory(prefix="trimtab-bench-agent-")
        self._agent = LineProcess("bench.engine.agent", self._folder.name)
        self._load = LineProcess("bench.engine.load")
        try:
            self.engine = self._start(settings)
        except (BenchError, TimeoutError) as error:
            self._end()
            raise BenchError(f"trimtab does not run: {error}") from error

    def _start(self, settings: Mapping[str, str]) -> EngineProcess:
        variables = {
            **ONE_THREAD,
            "TRIMTAB_MODEL_NAME": MODEL,
            "TRIMTAB_TORCH_THREADS": "1",
            "TRIMTAB_QUEUE_LIMIT": "1024",
            **settings,
            **self._agent.ask({"kind": "environment"}),
        }
        return EngineProcess(variables, core=self._core)

    def __enter__(self) -> LiveEngine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.engine.close()
        self._end()

    def change(self, settings: Mapping[str, Any], *, in_force: bool = True) -> dict[str, Any]:
        """Change the settings and return when they were served and reported, and the report. Raises BenchError.

        `in_force` False: do not wait for a format of the weights that has yet to be found.
        """
        order = {"kind": "change", "settings": dict(settings), "seconds": REPORT_SECONDS, "in_force": in_force}
        answer = self._agent.ask(order)
        if "failed" in answer:
            raise self._failure(answer["failed"])
        return answer

    def ask(self, row: Any) -> None:
        """Send one request outside of every load and wait for its answer. Raises BenchError."""
        try:
            self.engine.ask("POST", f"/v2/models/{MODEL}/infer", request_body(row, "outside"))
        except OSError as error:
            raise self._failure(f"no answer: {error}") from error

    def load(self, kind: str, **more: Any) -> dict[str, Any]:
        """Run a load to its end and return its figures, see `load/live_load.py`. Raises BenchError."""
        self.begin(kind, **more)
        return self.loaded()

    def learn(self, depth: int) -> dict[str, Any]:
        """Learn what the version in force answers, alone and in batches. Raises BenchError."""
        return self.load("learn", depth=depth, answers=self._extent.noise_answers)

    def begin(self, kind: str, *, inputs: str = "", **more: Any) -> None:
        """Begin a load; `inputs` other than the workload's. Its figures are taken with `loaded`."""
        which = {"live": inputs or self._workload, "port": self.engine.port, "rows": self._extent.learned_rows}
        self._load.tell({**which, "kind": kind, **more})

    def loaded(self) -> dict[str, Any]:
        """Wait for the load that was begun. Raises BenchError."""
        answer = self._load.hear()
        if "failed" in answer:
            raise self._failure(answer["failed"])
        return answer

    def _failure(self, what: str) -> BenchError:
        return BenchError(f"{what}; the engine's log ends:\n{self.engine.server.words()}")

    def _end(self) -> None:
        self._load.close()
        self._agent.close()
        self._folder.cleanup()
