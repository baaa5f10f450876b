"""Servers that a bench starts: their events, their end with all that they started, and programs told by lines."""

from __future__ import annotations

import os
import sys
import time

import pytest

from bench.server_process import ServerProcess, server_environ, tree

TALKS = """
import json, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print("words of a library {", flush=True)
print(json.dumps({"event": "started", "child": child.pid}), flush=True)
print('{"event": "started", "half', end="", flush=True)
time.sleep(60)
"""


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_an_event_is_told_from_other_words_and_the_end_takes_the_children_along() -> None:
    server = ServerProcess([sys.executable, "-c", TALKS], {})
    try:
        child = server.wait_for("started", 10)["child"]
        assert [event["child"] for event in server.events("started")] == [child]
        assert child in tree(server.pid)
    finally:
        server.close()
    assert not server.alive
    end = time.monotonic() + 5
    while is_running(child) and time.monotonic() < end:  # a zombie until init has taken it
        os.sched_yield()
    assert not is_running(child)


def test_a_server_that_ends_is_not_waited_for_and_its_last_words_are_told() -> None:
    server = ServerProcess([sys.executable, "-c", "print('no such model')"], {})
    began = time.monotonic()
    with pytest.raises(TimeoutError, match="no such model"):
        server.wait_for("started", 30)
    assert time.monotonic() - began < 20
    server.close()


def test_a_server_has_none_of_our_own_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIMTAB_PORT", "1")
    monkeypatch.setenv("BENCH_PORT", "1")
    environ = server_environ({"TRIMTAB_MODEL": "stub"})
    assert {name for name in environ if name.startswith(("TRIMTAB_", "BENCH_"))} == {"TRIMTAB_MODEL"}
