"""The process is killed at its writes, at every one: the world that comes of it is that of a process that lives on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from fakes.tuned_stage import Tuned
from fakes.world import Stage

from trimtab_operator.kube.resources import PODS, TRIALS

WRITES = ("create", "patch", "replace", "delete", "patch_scale", "patch_status", "create_event", "patch_event")

Live = Callable[[float], Awaitable[None]]
"""Lets a stage live for so many seconds."""
Story = Callable[[Any, Live], Awaitable[None]]


class Killed(BaseException):
    """The process is gone: nothing in it may catch this."""


@dataclass
class Reaper:
    """Kills every process of a stage right after its first write took effect, or before its second one would."""

    stage: Stage
    after: bool
    deaths: list[str] = field(default_factory=list)
    written: int = 0

    def __post_init__(self) -> None:
        for name in WRITES:
            setattr(self.stage.kube, name, self._watched(name, getattr(self.stage.kube, name)))

    async def live(self, seconds: float) -> None:
        """Let processes work for so long, one after another."""
        end = self.stage.clock.monotonic() + seconds
        while True:
            try:
                await self.stage.run(max(0.0, end - self.stage.clock.monotonic()))
            except Killed:
                self.stage.start()
                self.written = 0
            else:
                return

    def _watched(self, name: str, write: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def watched(*arguments: Any, **more: Any) -> Any:
            if self.written:
                self._kill(name)
            answer = await write(*arguments, **more)
            self.written += 1
            if self.after:
                self._kill(name)
            return answer

        return watched

    def _kill(self, name: str) -> None:
        self.deaths.append(name)
        raise Killed


async def more_load(stage: Stage, live: Live) -> None:
    """More than one replica carries: it is scaled up twice."""
    stage.deploy()
    stage.apply_policy()
    await live(60)
    stage.load.requests_per_second = 25.0
    await live(240)


async def a_change_that_helps(stage: Tuned, live: Live) -> None:
    """It is tried on one pod and rolled out."""
    stage.tune()
    await live(900)


async def a_change_that_hurts(stage: Tuned, live: Live) -> None:
    """It is tried on one pod and taken back."""
    stage.gain, stage.load.requests_per_second = 0.7, 13.0
    stage.tune()
    await live(900)


def world_of(stage: Stage) -> dict[str, object]:
    """What a person finds afterwards, but for what goes by chance or by the second."""
    status = stage.status()
    trials = [(each["spec"]["change"], each.get("status") or {}) for each in stage.kube.all(TRIALS)]
    return {
        "replicas": (stage.replicas(), len(stage.scalings())),
        "ledger": [(entry["what"], entry["from"], entry["to"]) for entry in status["history"]],
        "trials": [(change, told.get("phase"), told.get("verdict")) for change, told in trials],
        "settings": sorted((stage.fleet.settings(name) for _, name in stage.kube.names(PODS)), key=repr),
        "tuning": status.get("tuning"),
        "under way": sorted({"intent", "currentTrial"} & status.keys()),
    }


@pytest.mark.parametrize("after", [True, False], ids=["right after a write", "right before the next"])
@pytest.mark.parametrize(
    ("story", "kind"),
    [(more_load, Stage), (a_change_that_helps, Tuned), (a_change_that_hurts, Tuned)],
    ids=["more load", "a change that helps", "a change that hurts"],
)
async def test_processes_that_write_once_each_and_die_leave_the_world_of_one_that_lives_on(
    story: Story, kind: type[Stage], after: bool
) -> None:
    mortal, immortal = kind(), kind()
    reaper = Reaper(mortal, after)
    await story(mortal, reaper.live)
    await story(immortal, immortal.run)
    assert len(mortal.kube.writes) - len(reaper.deaths) in (0, 1), "no process wrote twice"
    assert world_of(mortal) == world_of(immortal)
    assert world_of(mortal)["under way"] == []
