"""reconcile(): one tick of one policy. The step names of the latency metric are the names of these five functions."""

from __future__ import annotations

from trimtab_api import OptimizationPolicy
from trimtab_operator.actuation.execute import execute
from trimtab_operator.actuation.report import report
from trimtab_operator.analysis.analyze import analyze
from trimtab_operator.controllers.world import Tick, World
from trimtab_operator.kube.port import Json
from trimtab_operator.observation.observe import observe
from trimtab_operator.trial.advance import advance


async def reconcile(world: World, body: Json, policy: OptimizationPolicy) -> Tick:
    """Look, decide, act on what an earlier tick has persisted, persist what a later tick shall act on."""
    timed = world.telemetry.step
    with timed("observe"):
        snapshot = await observe(world.eyes, body, policy, world.clock.now())
    with timed("analyze"):
        analysis = analyze(snapshot, policy)
    with timed("advance"):
        step = advance(policy.status.phase, snapshot, analysis, policy)
    with timed("execute"):
        await execute(world.hands, policy, snapshot, step)
    with timed("report"):
        await report(world.kube, world.events, world.hands.fail_point, body, step)
    return Tick(snapshot, analysis, step)
