"""Logs as JSON, one line each: a constant message, and pairs. Never secrets: pairs are named one by one."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any, TextIO


class JsonLines(logging.Formatter):
    """time, level, logger, message, then the record's `pairs`; an exception as one string."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        pairs = getattr(record, "pairs", None)
        if isinstance(pairs, dict):
            line.update(pairs)
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)


def configure(level: str, stream: TextIO = sys.stdout) -> None:
    """Send everything to `stream`; libraries below warning are not shown."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("trimtab_operator").setLevel(level.upper())
    logging.getLogger("kopf").addFilter(_not_about_signals)
    logging.getLogger("kopf._core.reactor.running").addFilter(_not_about_signals)


def _not_about_signals(record: logging.LogRecord) -> bool:
    """Kopf runs in a thread on purpose; that it sees no signals is not news."""
    return "OS signals are ignored" not in record.getMessage()
