"""Feeds: the labels that join to real pods, the scrape interval, and where GPUs are told of."""

from __future__ import annotations

import pytest
from fakes.prometheus import FakePrometheus

from trimtab_operator.model.signals import SignalState
from trimtab_operator.observation.batch import Batch
from trimtab_operator.observation.feeds import Feeds
from trimtab_operator.observation.labels import EXPORTED, PLAIN, PodLabels

POD = "llama-b5c5-bcdfg"
NOW = 10_000.0


def made(**settings: object) -> FakePrometheus:
    return FakePrometheus(lambda: [("prod", POD)], **settings)  # type: ignore[arg-type]


def feeds(source: FakePrometheus, namespace: str | None = None, interval: float | None = None) -> Feeds:
    return Feeds(Batch(source, lambda: ("prod", "test")), namespace, None, interval)


@pytest.mark.parametrize("labels", [PLAIN, EXPORTED, PodLabels("kubernetes_namespace", "kubernetes_pod_name")])
async def test_the_pair_of_labels_that_joins_to_the_pods_is_found_and_kept(labels: PodLabels) -> None:
    source = made(labels=labels)
    found = feeds(source)
    first = await found.engine("trimtab", "prod", "llama", [POD], NOW)
    assert (first.labels, first.state, first.newest) == (labels, SignalState.OK, {POD: NOW - 1})
    source.queries.clear()
    await found.engine("trimtab", "prod", "llama", [POD], NOW + 60)
    assert len(source.queries) == 1


async def test_without_any_series_the_other_labels_are_tried_once_a_minute_only() -> None:
    source = made(sources=set())
    found = feeds(source)
    for second in range(0, 60, 5):
        feed = await found.agent("prod", "llama", [POD], NOW + second)
        assert (feed.state, feed.message) == (SignalState.NO_DATA, "no series")
    assert len(source.queries) == 12 + 4


async def test_series_of_other_pods_only_are_a_mismatch_of_labels() -> None:
    feed = await feeds(made()).engine("trimtab", "prod", "llama", ["other"], NOW)
    assert feed.state is SignalState.NO_DATA
    assert feed.message.startswith("LabelMismatch")


async def test_labels_that_name_another_targets_pods_are_right_and_an_unscraped_target_has_no_series() -> None:
    found = feeds(made())
    await found.engine("trimtab", "prod", "llama", [POD], NOW)
    feed = await found.engine("trimtab", "prod", "unscraped", ["other"], NOW)
    assert (feed.state, feed.message) == (SignalState.NO_DATA, "no series")


async def test_an_error_is_no_reason_to_try_other_labels() -> None:
    source = made(down=True)
    feed = await feeds(source).engine("trimtab", "prod", "llama", [POD], NOW)
    assert feed.state is SignalState.ERROR
    assert len(source.queries) == 1


async def test_a_configured_label_is_the_only_one_for_the_engine_and_the_first_for_the_agent() -> None:
    source = made()
    found = feeds(source, namespace="tenant")
    assert (await found.engine("trimtab", "prod", "llama", [POD], NOW)).state is SignalState.NO_DATA
    assert (await found.agent("prod", "llama", [POD], NOW)).labels == PLAIN


async def test_the_scrape_interval_is_learned_rounded_and_not_replaced_by_that_of_young_pods() -> None:
    source = made(scrape_interval_seconds=120 / 23)
    found = feeds(source)
    feed = await found.engine("trimtab", "prod", "llama", [POD], NOW)
    assert await found.scrape_interval_seconds("trimtab", feed, "prod", NOW) == 5
    source.scrape_interval_seconds = 40
    assert await found.scrape_interval_seconds("trimtab", feed, "prod", NOW + 10) == 5
    assert await found.scrape_interval_seconds("trimtab", feed, "prod", NOW + 400) == 40


async def test_a_configured_scrape_interval_is_believed() -> None:
    found = feeds(made(), interval=30)
    feed = await found.engine("trimtab", "prod", "llama", [POD], NOW)
    assert await found.scrape_interval_seconds("trimtab", feed, "prod", NOW) == 30


async def test_without_samples_the_scrape_interval_is_not_known() -> None:
    found = feeds(made(sources=set()))
    feed = await found.engine("trimtab", "prod", "llama", [POD], NOW)
    assert await found.scrape_interval_seconds("trimtab", feed, "prod", NOW) is None


async def test_an_unknown_runtime_has_no_feed_of_its_own() -> None:
    feed = await feeds(made()).engine("unknown", "prod", "llama", [POD], NOW)
    assert feed.state is SignalState.NO_DATA


@pytest.mark.parametrize(
    ("sources", "simulated", "expected"),
    [
        pytest.param({"agent"}, None, ("none", False), id="no GPU"),
        pytest.param({"agent"}, True, ("agent", True), id="simulated"),
        pytest.param({"agent"}, False, ("agent", False), id="agent"),
        pytest.param({"agent", "dcgm"}, False, ("dcgm", False), id="dcgm first"),
    ],
)
async def test_where_gpus_are_told_of(sources: set[str], simulated: bool | None, expected: tuple[str, bool]) -> None:
    found = feeds(made(sources=sources, simulated_gpus=simulated))
    agent = await found.agent("prod", "llama", [POD], NOW)
    dcgm = await found.dcgm("prod", "llama", [POD], NOW)
    gpu = await found.gpu(agent, dcgm, "prod", [POD], NOW)
    assert (gpu.source, gpu.simulated) == expected


async def test_a_query_names_the_namespaces_of_all_policies_once() -> None:
    batch = Batch(made(), lambda: ("prod", "test"))
    text = batch.text("up{$selector}[$window] by ($namespace_label, $pod_label)", EXPORTED, 20.4, "more")
    assert text == 'up{exported_namespace=~"more|prod|test"}[20s] by (exported_namespace, exported_pod)'
