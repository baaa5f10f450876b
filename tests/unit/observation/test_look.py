"""What is asked of Prometheus for one target."""

from __future__ import annotations

import pytest
from fakes.builders import NOW, a_pod
from fakes.prometheus import FakePrometheus

from trimtab_operator.model.signals import SignalState
from trimtab_operator.observation.batch import Batch
from trimtab_operator.observation.feeds import Feed
from trimtab_operator.observation.labels import PLAIN
from trimtab_operator.observation.look import Look
from trimtab_operator.observation.readings import Scope
from trimtab_operator.runtimes.select import queries_for


@pytest.mark.parametrize(("gpus", "asked"), [((0, 1), 0), ((1, 2), 4)], ids=["one each", "a pod has two"])
async def test_gpus_are_asked_for_one_by_one_only_where_a_pod_has_several(gpus: tuple[int, ...], asked: int) -> None:
    pods = tuple(a_pod(f"chat-{number}", gpus=each) for number, each in enumerate(gpus))
    prometheus = FakePrometheus(lambda: ())
    feeds = {source: Feed(PLAIN, SignalState.OK) for source in ("engine", "agent", "dcgm")}
    look = Look(Batch(prometheus, lambda: ("prod",)), feeds, Scope("prod", "chat", pods, NOW, 5.0))
    assert await look.gpus(queries_for("vllm", "dcgm")) == {}
    assert len(prometheus.queries) == asked
