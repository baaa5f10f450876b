"""observe(): everything that one tick may know, read at one instant."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from trimtab_api import OptimizationPolicy
from trimtab_api.policy_status import LedgerEvent
from trimtab_operator.analysis.burn import LONG_SECONDS, SHORT_SECONDS, spent_signals
from trimtab_operator.analysis.lookback import lookback_seconds
from trimtab_operator.analysis.trends import percentiles
from trimtab_operator.analysis.tunable import tunes_engines
from trimtab_operator.errors import KubeNotFound
from trimtab_operator.kube.mode import ModeSwitch
from trimtab_operator.kube.port import Json, Kube
from trimtab_operator.kube.resources import POLICIES
from trimtab_operator.model.snapshot import Snapshot, Target
from trimtab_operator.observation.arms import read_arms
from trimtab_operator.observation.batch import Batch
from trimtab_operator.observation.engines import read_engines
from trimtab_operator.observation.feeds import DEFAULT_SCRAPE_SECONDS, Feed, Feeds, GpuFeed
from trimtab_operator.observation.look import Look
from trimtab_operator.observation.past import PastStore
from trimtab_operator.observation.readings import Scope
from trimtab_operator.observation.rivals import older_policy
from trimtab_operator.observation.slots import slot_time
from trimtab_operator.observation.target import TargetReader
from trimtab_operator.observation.trials import read_trials
from trimtab_operator.runtimes.select import RUNTIMES, history_queries_for, queries_for, trend_queries_for


@dataclass(frozen=True)
class Eyes:
    """What observe() looks with: the caches live as long as the process, and can be rebuilt from nothing."""

    kube: Kube
    batch: Batch
    feeds: Feeds
    targets: TargetReader
    switch: ModeSwitch
    policies: Callable[[], Iterable[Json]]
    agent_namespace: str = "trimtab-system"
    pasts: PastStore = field(default_factory=PastStore)


@dataclass(frozen=True)
class _Sources:
    """The feeds of one target, and the scrape interval (unknown: None; then a usual one is assumed)."""

    feeds: dict[str, Feed]
    gpu: GpuFeed
    scrape_interval_seconds: float | None


async def observe(eyes: Eyes, body: Json, policy: OptimizationPolicy, now: float) -> Snapshot:
    """Read the world of one policy (stored as `body`) as it was at the start of the time slot that holds `now`.

    The snapshot's `now` is that start: the time at which every query is evaluated, whichever policy asked first.

    Raises:
        KubeUnavailable: the API server did not answer. What Prometheus fails to say is in the snapshot.
    """
    now = slot_time(now)
    namespace = str(body["metadata"]["namespace"])
    scaled = [entry.at.timestamp() for entry in policy.status.history if entry.what is LedgerEvent.SCALED]
    target, ceiling, taken_by = await asyncio.gather(
        eyes.targets.read(namespace, policy.spec.target_ref, now, scaled_at=max(scaled, default=None)),
        eyes.switch.ceiling(),
        _taken_by(eyes, body),
    )
    if not isinstance(target, Target):
        return Snapshot(now, target, taken_by=taken_by, max_mode=ceiling.mode)
    place = eyes.agent_namespace
    bare = Snapshot(now, target, taken_by=taken_by, max_mode=ceiling.mode, agent_namespace=place)
    return await _measured(eyes, policy, target, await _with_engines(eyes, policy, target, bare))


async def _with_engines(eyes: Eyes, policy: OptimizationPolicy, target: Target, bare: Snapshot) -> Snapshot:
    """Fill in engines and trials, where the policy tunes engines or has done so."""
    if not tunes_engines(policy, target):
        return bare
    engines, trials = await asyncio.gather(read_engines(eyes.kube, target.pods), read_trials(eyes.kube, policy))
    return replace(bare, engines=engines, trials=trials.items, approvers=trials.approvers)


async def _measured(eyes: Eyes, policy: OptimizationPolicy, target: Target, bare: Snapshot) -> Snapshot:
    """Fill in what Prometheus says of the target."""
    sources = await _sources(eyes, target, bare.now)
    scrape = sources.scrape_interval_seconds or DEFAULT_SCRAPE_SECONDS
    look = Look(eyes.batch, sources.feeds, Scope(target.namespace, target.name, target.pods, bare.now, scrape))
    queries = queries_for(target.runtime, sources.gpu.source)
    histograms = [query for query in queries if query.kind == "histogram"]
    runtime = RUNTIMES.get(target.runtime)
    readings, distributions, history, over_window, arms, (layers, gpus) = await asyncio.gather(
        asyncio.gather(*(look.reading(query) for query in queries if query.kind != "histogram")),
        asyncio.gather(*(look.distribution(query, look.recent_seconds) for query in histograms)),
        look.history(history_queries_for(target.runtime, sources.gpu.source), round(lookback_seconds(policy))),
        look.window_distributions(histograms, policy),
        read_arms(look, queries, bare.trials),
        asyncio.gather(look.layer_time(runtime.layer_time if runtime else ""), look.gpus(queries)),
    )
    measured = replace(
        bare,
        scrape_interval_seconds=sources.scrape_interval_seconds,
        gpu_source=sources.gpu.source,
        gpu_simulated=sources.gpu.simulated,
        readings={each.signal: each for each in readings},
        distributions={each.signal: each for each in distributions},
        history={each.signal: each for each in history},
        window_distributions={each.signal: each for each in over_window},
        arms=arms,
        layer_time=layers,
        gpus=gpus,
    )
    return await _looked_back(eyes, look, policy, target.runtime, measured)


async def _looked_back(
    eyes: Eyes, look: Look, policy: OptimizationPolicy, runtime: str, measured: Snapshot
) -> Snapshot:
    """Fill in what spans more than the moment: what objectives burn, errors by reason, trends."""
    known, percents = RUNTIMES.get(runtime), percentiles(policy)
    spent = [query for query in queries_for(runtime, measured.gpu_source) if query.signal in spent_signals(policy)]
    five_minutes, hour, reasons, past = await asyncio.gather(
        look.long_distributions(spent, SHORT_SECONDS),
        look.long_distributions(spent, LONG_SECONDS),
        look.error_reasons(known.error_reasons if known else "", known.reason_labels if known else ()),
        eyes.pasts.read(look, trend_queries_for(runtime, measured.gpu_source, percents), percents),
    )
    return replace(measured, five_minutes=five_minutes, hour=hour, error_reasons=reasons, past=past)


async def _taken_by(eyes: Eyes, body: Json) -> str | None:
    """Return the older policy on the same target, read live: a watch cache can hold what is long gone."""
    others, gone = list(eyes.policies()), set[str]()
    while True:
        rival = older_policy(body, (other for other in others if _key(other) not in gone))
        if rival is None:
            return None
        namespace, name = rival.split("/")
        try:
            live = await eyes.kube.get(POLICIES, namespace, name)
        except KubeNotFound:
            gone.add(rival)
            continue
        if older_policy(body, [live]) == rival:
            return rival
        gone.add(rival)


def _key(body: Json) -> str:
    return f"{body['metadata']['namespace']}/{body['metadata']['name']}"


async def _sources(eyes: Eyes, target: Target, now: float) -> _Sources:
    namespace, name = target.namespace, target.name
    pods = [pod.name for pod in target.pods]
    engine, agent, dcgm = await asyncio.gather(
        eyes.feeds.engine(target.runtime, namespace, name, pods, now),
        eyes.feeds.agent(namespace, name, pods, now),
        eyes.feeds.dcgm(namespace, name, pods, now),
    )
    gpu = await eyes.feeds.gpu(agent, dcgm, namespace, pods, now)
    interval = await eyes.feeds.scrape_interval_seconds(target.runtime, engine, namespace, now)
    return _Sources({"engine": engine, "agent": agent, "dcgm": dcgm}, gpu, interval)
