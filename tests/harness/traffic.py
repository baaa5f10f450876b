"""Load on a scenario's Service from the project's own generator, in a process of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from harness.answers import Answers
from harness.cluster import Cluster

from dev.load.plan import Keys, LoadPlan
from dev.load.process import LoadProcess, measure

LONGEST_SECONDS = 900.0


@dataclass
class Load:
    """A constant rate of inputs of one length; both can be changed."""

    plan: LoadPlan
    _process: LoadProcess | None = field(default=None)

    def rate(self, requests_per_second: float) -> None:
        """From now on send at this rate."""
        self._begin(replace(self.plan, rate=requests_per_second))

    def length(self, sentences: int) -> None:
        """From now on send inputs of so many sentences."""
        self._begin(replace(self.plan, sentences=sentences))

    def _begin(self, plan: LoadPlan) -> None:
        self.end()
        self.plan = replace(plan, key_offset=self.plan.key_offset + 10_000)
        self._process = LoadProcess(self.plan)

    def end(self) -> None:
        """Send nothing any more."""
        if self._process:
            self._process.__exit__(None, None, None)
            self._process = None


@dataclass(frozen=True)
class Traffic:
    """Finds the Service `chat` of a namespace and sends to it."""

    cluster: Cluster

    def capacity(self, namespace: str, callers: int = 16) -> float:
        """Answers per second of what serves now, to so many who ask again as soon as they are answered."""
        return measure(self._plan(namespace), seconds=8.0, callers=callers).per_second

    @contextmanager
    def steady(self, namespace: str, rate: float) -> Iterator[Load]:
        """Send at a rate inside the block."""
        load = Load(self._plan(namespace))
        load.rate(rate)
        try:
            yield load
        finally:
            load.end()

    @contextmanager
    def answered(
        self, namespace: str, rate: float, *, seconds: float, verified: float, keys: Keys = Keys.DISTINCT
    ) -> Iterator[Answers]:
        """Send at a rate for at most so long, a part of it verified, and keep what became of every request.

        The block begins once the reference answers are known: one at a time, before there is any other load.
        """
        plan = replace(self._plan(namespace), duration_seconds=seconds, timeout_seconds=30.0)
        with Answers() as answers:
            answers.follow(replace(plan, rate=verified, keys=Keys.TRACE, verify=True), begins_within=120)
            answers.follow(replace(plan, rate=rate - verified, keys=keys), begins_within=30)
            yield answers

    def _plan(self, namespace: str) -> LoadPlan:
        found = self.cluster.get("service", "chat", namespace)
        assert found, f"no service chat in {namespace}"
        address = f"http://{found['spec']['clusterIP']}:{found['spec']['ports'][0]['port']}"
        return LoadPlan(url=address, keys=Keys.DISTINCT, duration_seconds=LONGEST_SECONDS, rate=1.0)
