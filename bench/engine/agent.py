"""`python -m bench.engine.agent DIRECTORY`: plays the node's agent to one engine, by the real protocol.

A line of JSON in, a line out, see `answer_to`. The agent itself is that of the tests' fakes: the bench puts tests/ on
its path. It runs beside the load, on the last core.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from fakes.engine_agent import EngineAgent, Report, a_document

_LOOK_SECONDS = 0.002


class PlayedAgent:
    """Serves one document after the other and hears what the engine reports."""

    def __init__(self, directory: Path) -> None:
        self._agent = EngineAgent(directory)
        self._generation = 0
        self._serve({})
        self._agent.start()

    def answer_to(self, order: dict[str, Any]) -> dict[str, Any]:
        """Do what an order asks for.

        `environment`: what the engine is started with. `change`: serve these settings and wait, at most `seconds`, for
        the report that takes them; with `in_force` also for the format of the weights to be in force. Times in
        monotonic seconds; `failed` where no such report came.
        """
        if order["kind"] == "environment":
            return self._agent.environment
        served_at = self._serve(order["settings"])
        end = served_at + order["seconds"]
        while time.monotonic() < end:
            for report in self._agent.reports:
                if report.at >= served_at and self._is_answer(report, order):
                    return {"served_at": served_at, "reported_at": report.at, "report": report.body}
            time.sleep(_LOOK_SECONDS)
        return {"failed": f"no report of {order['settings']} within {order['seconds']:g} s"}

    def _serve(self, settings: dict[str, Any]) -> float:
        self._generation += 1
        self._agent.reports.clear()
        return self._agent.serve(a_document(settings, generation=self._generation))

    def _is_answer(self, report: Report, order: dict[str, Any]) -> bool:
        if report.body["version"]["generation"] != self._generation:
            return False
        asked = order["settings"].get("quantization", "None")
        return not order["in_force"] or report.body["applied"].get("quantization", "None") == asked


def main() -> int:
    """Answer every line."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    agent = PlayedAgent(Path(sys.argv[1]))
    for line in sys.stdin:
        print(json.dumps(agent.answer_to(json.loads(line))), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
