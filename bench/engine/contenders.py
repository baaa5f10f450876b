"""Who takes part, how each is started, and the settings that the sweep tries for each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from bench.engine.corpus import MINILM, MODEL
from bench.engine.environments import environment
from bench.engine_process import ENGINE, ON_THIS_CPU
from trimtab_engine.model_directory import describe_directory

OURS = ("trimtab", "trimtab-again")
ONE_THREAD = {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"}
"""Of every contender's process: one core serves, and nothing is fetched."""


@dataclass(frozen=True)
class Setting:
    """One row of the sweep; what a contender does not have it ignores."""

    batch: int
    wait_seconds: float
    encoder: str = "engine"
    threads: int = 1
    processes: int = 1

    def __str__(self) -> str:
        return (
            f"batch {self.batch}, wait {self.wait_seconds * 1000:g} ms, {self.processes} x {self.threads} threads, "
            f"encoder {self.encoder}"
        )


@dataclass(frozen=True)
class Order:
    """What a contender is started with: the model, how long a request may take, and a setting."""

    workload: str
    deadline_seconds: float
    setting: Setting
    port: int


@dataclass(frozen=True)
class Contender:
    """A server that can take part; `workloads` are those that it can serve at all.

    One that gives no answer within `start_seconds` does not run.
    """

    name: str
    dialect: str
    start: Callable[[Order], tuple[list[str], dict[str, str]]]
    workloads: tuple[str, ...] = ("trivial", "paced", "minilm", "mixed")
    start_seconds: float = 60.0


def settings(contender: Contender, workload: str) -> list[Setting]:
    """Return what the sweep tries.

    One core serves, so one process with one thread is the best everywhere but where a second process overlaps its
    Python with the other's sleep (paced) or its HTTP with the model (trivial).
    """
    if contender.name in OURS:
        return [Setting(32, 0.0 if workload == "trivial" else 0.002)]  # deadlines cut what would be too large
    if workload == "trivial":
        return [Setting(32, 0.0), Setting(32, 0.001), Setting(64, 0.005)]
    if workload == "paced":
        return [Setting(16, 0.0), Setting(32, 0.0), Setting(32, 0.005)]
    encoder = "own" if contender.name == "infinity" else "engine"
    return [Setting(8, 0.0, encoder), Setting(16, 0.005, encoder), Setting(32, 0.01, encoder)]


def _trimtab(order: Order) -> tuple[list[str], dict[str, str]]:
    workload = "minilm" if order.workload == "mixed" else order.workload
    model = MINILM if workload == "minilm" else f"bench.engine.modules:{workload}"
    variables = {
        **ONE_THREAD,
        **ON_THIS_CPU,
        "TRIMTAB_MODEL": model,
        "TRIMTAB_MODEL_NAME": MODEL,
        "TRIMTAB_PORT": str(order.port),
        "TRIMTAB_TORCH_THREADS": str(order.setting.threads),
        "TRIMTAB_MAX_BATCH_SIZE": str(order.setting.batch),
        "TRIMTAB_MAX_QUEUE_DELAY": f"{order.setting.wait_seconds * 1000:g}ms",
        "TRIMTAB_DEFAULT_DEADLINE": f"{order.deadline_seconds * 1000:g}ms",
        "TRIMTAB_QUEUE_LIMIT": "1024",
    }
    return list(ENGINE), variables


def _rival(name: str, order: Order) -> tuple[list[str], dict[str, str]]:
    setting = order.setting
    variables = {
        **ONE_THREAD,
        "BENCH_WORKLOAD": "minilm" if order.workload == "mixed" else order.workload,
        "BENCH_PORT": str(order.port),
        "BENCH_BATCH": str(setting.batch),
        "BENCH_WAIT": str(setting.wait_seconds),
        "BENCH_TIMEOUT": str(order.deadline_seconds),
        "BENCH_THREADS": str(setting.threads),
        "BENCH_PROCESSES": str(setting.processes),
        "BENCH_ENCODER": setting.encoder,
        "BENTOML_DO_NOT_TRACK": "True",
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    programs = environment(name)
    if name == "bentoml":
        served = "bench.engine.servers.bentoml_server:Model"
        where = ["--host", "127.0.0.1", "--port", str(order.port)]
        return [str(programs / "bentoml"), "serve", served, *where], variables
    return [str(programs / "python"), "-m", f"bench.engine.servers.{name}_server"], variables


def _infinity(order: Order) -> tuple[list[str], dict[str, str]]:
    """Infinity has its own path from text to vector; its window is fixed, only the batch can be chosen."""
    directory = describe_directory(MINILM, MODEL).directory
    command = [str(environment("infinity") / "infinity_emb"), "v2", "--model-id", directory]
    command += ["--served-model-name", MODEL, "--url-prefix", "/v1", "--host", "127.0.0.1", "--port", str(order.port)]
    command += ["--engine", "torch", "--device", "cpu", "--no-bettertransformer", "--log-level", "error"]
    command += ["--batch-size", str(order.setting.batch)]
    return command, {**ONE_THREAD, "DO_NOT_TRACK": "1", "INFINITY_ANONYMOUS_USAGE_STATS": "0"}


CONTENDERS = {
    contender.name: contender
    for contender in (
        Contender("trimtab", "v2", _trimtab),
        Contender("trimtab-again", "v2", _trimtab),
        Contender("mosec", "v2", partial(_rival, "mosec")),
        Contender("litserve", "v2", partial(_rival, "litserve")),
        Contender("bentoml", "list", partial(_rival, "bentoml")),
        Contender("ray", "v2", partial(_rival, "ray"), start_seconds=90.0),  # six processes of its own on one core
        Contender("infinity", "openai", _infinity, ("minilm", "mixed")),
    )
}
