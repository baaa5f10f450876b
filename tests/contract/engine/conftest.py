"""Engines for the tests of this folder, and what transformers itself computes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from contract.engine.running_engine import REFERENCE_PROGRAM, TEXTS, EngineProcess, compute
from fakes.engine_agent import EngineAgent, a_document
from numpy.typing import NDArray

EngineFactory = Callable[..., EngineProcess]


@pytest.fixture(scope="module")
def start_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineFactory]:
    """Starts engines that end with the module."""
    started: list[EngineProcess] = []

    def start(**settings: str) -> EngineProcess:
        started.append(EngineProcess(tmp_path_factory.mktemp("engine") / "log", **settings))
        return started[-1]

    yield start
    for engine in started:
        engine.close()


@contextmanager
def listening_agent(directory: Path, settings: dict[str, Any]) -> Iterator[EngineAgent]:
    """An agent that has these settings for its engine from the start."""
    agent = EngineAgent(directory)
    agent.serve(a_document(settings))
    agent.start()
    try:
        yield agent
    finally:
        agent.stop()


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineAgent]:
    """The agent of a module's engine; it asks for nothing at first."""
    with listening_agent(tmp_path_factory.mktemp("agent"), {}) as agent:
        yield agent


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineProcess]:
    """The engine that most tests share; cache off."""
    process = EngineProcess(tmp_path_factory.mktemp("engine") / "log", TRIMTAB_QUEUE_LIMIT="32")
    yield process
    process.close()


@pytest.fixture(scope="session")
def reference_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What transformers computes: vectors of TEXTS, a small DistilBERT and its vector."""
    directory = tmp_path_factory.mktemp("reference")
    compute(REFERENCE_PROGRAM, directory, json.dumps(TEXTS))
    return directory


@pytest.fixture(scope="session")
def reference(reference_directory: Path) -> dict[str, NDArray[np.float32]]:
    """Embeddings of TEXTS, each text computed alone."""
    return dict(zip(TEXTS, np.load(reference_directory / "vectors.npy"), strict=True))
