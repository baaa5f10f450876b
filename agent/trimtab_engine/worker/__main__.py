"""Entry of a worker process: `python -m trimtab_engine.worker CONFIG`, started by the front only."""

from __future__ import annotations

import sys

import msgspec

from trimtab_engine import wire
from trimtab_engine.log import Log
from trimtab_engine.worker.process import run_worker

if __name__ == "__main__":
    sys.exit(run_worker(msgspec.json.decode(sys.argv[1], type=wire.WorkerConfig), Log()))
