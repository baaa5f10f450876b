"""The node queue: what a failure, a kill switch and a lost Lease mean for it, and where it begins."""

from __future__ import annotations

import asyncio

import pytest
from fakes.clock import settle
from fakes.world import NAMESPACE, SYSTEM, Stage

from trimtab_api.engine_settings import EngineSettings
from trimtab_api.node_tuning import EngineEntry
from trimtab_operator.actuation.node_tuning import AUTHORITY_ANNOTATION, NodeTuner
from trimtab_operator.controllers.nodes import AGAIN_SECONDS, AUTHORITY_SECONDS, RESYNC_SECONDS, NodeWorker
from trimtab_operator.errors import KubeConflict, KubeForbidden, KubeUnavailable, LeadershipLost
from trimtab_operator.kube.resources import CONFIG_MAPS, NODE_TUNINGS, NODES
from trimtab_operator.trial.node_spec import Ask

ENTRY = EngineEntry(pod_uid="uid-a", namespace="prod", pod="a", settings=EngineSettings())
KEY = ("prod", "tune")


@pytest.fixture
def stage() -> Stage:
    stage = Stage()
    stage.world.hands.board.put(KEY, (Ask("node", ENTRY),), tunes=True)
    return stage


async def once(stage: Stage) -> tuple[str, float]:
    """Take the next node; the outcome, and after how many seconds it is looked at again."""
    outcome = await stage.node_worker.once(await stage.nodes.get())
    assert stage.nodes.next_due is not None
    return outcome, stage.nodes.next_due - stage.clock.monotonic()


async def test_a_node_is_looked_at_again_soon_after_a_write_and_then_in_a_while(stage: Stage) -> None:
    assert await once(stage) == ("written", AGAIN_SECONDS)
    stage.clock.tick(AGAIN_SECONDS)
    assert await once(stage) == ("same", RESYNC_SECONDS)


async def test_every_look_at_a_node_is_counted_by_its_outcome(stage: Stage) -> None:
    stage.kube.fail("create", "NodeTuning", KubeUnavailable)
    _, delay = await once(stage)
    stage.clock.tick(delay)
    await once(stage)
    counted = stage.world.telemetry.registry.get_sample_value
    for outcome in ("KubeUnavailable", "written"):
        assert counted("trimtab_operator_node_tunings_total", {"outcome": outcome}) == 1


async def test_a_foreign_edit_is_put_right_then(stage: Stage) -> None:
    await once(stage)
    stage.kube.edit(NODE_TUNINGS, None, "node", {"spec": {"engines": []}})
    stage.clock.tick(RESYNC_SECONDS)
    assert (await once(stage))[0] == "written"
    assert len(stage.kube.stored(NODE_TUNINGS, None, "node")["spec"]["engines"]) == 1


@pytest.mark.parametrize("error", [KubeUnavailable, KubeConflict, KubeForbidden])
async def test_a_write_that_failed_is_tried_again_ever_later(stage: Stage, error: type[KubeUnavailable]) -> None:
    stage.kube.fail("create", "NodeTuning", error, times=2)
    outcome, first = await once(stage)
    stage.clock.tick(first)
    _, second = await once(stage)
    assert outcome == error.__name__
    assert 0.0 < first <= 0.5
    assert 0.5 <= second <= 1.0
    stage.clock.tick(second)
    assert (await once(stage))[0] == "written"


async def test_a_withheld_write_is_tried_again_soon(stage: Stage) -> None:
    stage.kube.edit(CONFIG_MAPS, SYSTEM, "trimtab-mode", {"data": {"maxMode": "Recommend"}})
    assert await once(stage) == ("withheld", AGAIN_SECONDS)
    stage.kube.edit(CONFIG_MAPS, SYSTEM, "trimtab-mode", {"data": {"maxMode": "Apply"}})
    stage.clock.tick(AGAIN_SECONDS)
    assert (await once(stage))[0] == "written"


async def test_an_entry_of_a_policy_that_is_gone_is_looked_at_again_soon_while_another_was_not_heard(
    stage: Stage,
) -> None:
    await once(stage)
    stage.apply_policy("other")
    stage.world.hands.board.forget(KEY)
    assert await once(stage) == ("waiting", AGAIN_SECONDS)
    stage.world.hands.board.hear((NAMESPACE, "other"))
    stage.clock.tick(AGAIN_SECONDS)
    assert (await once(stage))[0] == "written"


async def test_a_lost_lease_ends_the_work_and_the_node_stays_queued(stage: Stage) -> None:
    stage.gate.close()
    with pytest.raises(LeadershipLost):
        await stage.node_worker.work()
    assert stage.nodes.next_due is not None


async def began(stage: Stage) -> None:
    """The worker at work until it has nothing more to do."""
    work = asyncio.create_task(stage.node_worker.work())
    await settle()
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)


async def test_the_work_begins_with_every_node_that_has_an_object() -> None:
    stage = Stage()
    for node in ("left-a", "left-b"):
        stage.kube.seed(NODES, {"metadata": {"name": node}})
        stage.kube.seed(NODE_TUNINGS, {"metadata": {"name": node}, "spec": {"engines": [ENTRY.to_body()]}})
    await began(stage)
    assert [body["spec"]["engines"] for body in stage.kube.all(NODE_TUNINGS)] == [[], []], "its pod is gone"


async def test_a_new_authority_is_a_reason_to_look_at_every_node_again(stage: Stage) -> None:
    authority = ["first"]
    worker = NodeWorker(NodeTuner(stage.world.hands, lambda: authority[-1]), stage.nodes, stage.world.telemetry)
    await worker.once(await stage.nodes.get())
    stage.clock.tick(AGAIN_SECONDS)
    await worker.once(await stage.nodes.get())
    following = asyncio.create_task(worker.follow_authority(stage.clock))
    await stage.clock.advance(AUTHORITY_SECONDS)
    assert stage.nodes.depth == 0
    authority.append("second")
    await stage.clock.advance(AUTHORITY_SECONDS)
    assert stage.nodes.depth == 1
    await worker.once(await stage.nodes.get())
    annotations = stage.kube.stored(NODE_TUNINGS, None, "node")["metadata"]["annotations"]
    assert annotations == {AUTHORITY_ANNOTATION: "second"}
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)


async def test_objects_that_cannot_be_listed_do_not_keep_it_from_working(stage: Stage) -> None:
    stage.kube.fail("list", "NodeTuning", KubeUnavailable)
    await began(stage)
    assert len(stage.kube.all(NODE_TUNINGS)) == 1
