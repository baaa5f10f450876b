"""The kill switch: quick, and safe in doubt."""

from __future__ import annotations

import pytest
from fakes.clock import FakeClock
from fakes.kube import FakeKube, mode_configmap

from trimtab_operator.errors import KubeForbidden, KubeUnavailable, LeadershipLost
from trimtab_operator.kube.gate import WriteGate
from trimtab_operator.kube.mode import ModeSwitch
from trimtab_operator.kube.resources import CONFIG_MAPS, DEPLOYMENTS, POLICIES


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def kube() -> FakeKube:
    kube = FakeKube()
    kube.seed(CONFIG_MAPS, mode_configmap("sys", "Apply"))
    return kube


async def test_without_a_configured_switch_there_is_no_ceiling(kube: FakeKube, clock: FakeClock) -> None:
    assert (await ModeSwitch(kube, clock, "sys", None).ceiling()).mode == "Apply"
    assert kube.reads == []


async def test_a_flipped_switch_is_seen_within_five_seconds_and_read_no_more_often(
    kube: FakeKube, clock: FakeClock
) -> None:
    switch = ModeSwitch(kube, clock, "sys", "trimtab-mode")
    assert (await switch.ceiling()).mode == "Apply"
    kube.edit(CONFIG_MAPS, "sys", "trimtab-mode", {"data": {"maxMode": "Recommend"}})
    clock.tick(4.9)
    await switch.ceiling()
    assert len(kube.reads) == 1
    clock.tick(0.1)
    assert (await switch.ceiling()).mode == "Recommend"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"maxMode": "apply"}, "'apply' is not accepted; set Recommend or Apply"),
        ({"maxMode": None}, "None is not accepted"),
    ],
    ids=["a misspelt value", "no key"],
)
async def test_in_doubt_it_is_recommend_and_says_why(
    kube: FakeKube, clock: FakeClock, data: dict[str, str | None], said: str
) -> None:
    kube.edit(CONFIG_MAPS, "sys", "trimtab-mode", {"data": data})
    found = await ModeSwitch(kube, clock, "sys", "trimtab-mode").ceiling()
    assert found.mode == "Recommend"
    assert said in found.message
    assert "ConfigMap sys/trimtab-mode" in found.message


@pytest.mark.parametrize("case", ["absent", "forbidden"])
async def test_a_switch_that_cannot_be_read_is_recommend(kube: FakeKube, clock: FakeClock, case: str) -> None:
    if case == "absent":
        kube.vanish(CONFIG_MAPS, "sys", "trimtab-mode")
    else:
        kube.fail("get", "ConfigMap", KubeForbidden)
    found = await ModeSwitch(kube, clock, "sys", "trimtab-mode").ceiling()
    assert found.mode == "Recommend"
    assert "nothing is written" in found.message


async def test_while_the_server_is_away_the_last_value_holds_for_thirty_seconds(
    kube: FakeKube, clock: FakeClock
) -> None:
    switch = ModeSwitch(kube, clock, "sys", "trimtab-mode")
    await switch.ceiling()
    kube.fail("get", "ConfigMap", KubeUnavailable, times=2)
    clock.tick(29)
    assert (await switch.ceiling()).mode == "Apply"
    clock.tick(2)
    assert (await switch.ceiling()).mode == "Recommend"
    assert (await switch.ceiling()).mode == "Apply"


def test_a_gate_is_closed_at_first_and_closed_by_time_alone(clock: FakeClock) -> None:
    gate = WriteGate(clock)
    with pytest.raises(LeadershipLost):
        gate.check()
    gate.open_until(clock.monotonic() + 10)
    gate.check()
    clock.tick(10)
    with pytest.raises(LeadershipLost):
        gate.check()
    gate.open_until(clock.monotonic() + 10)
    gate.close()
    assert not gate.is_open


def test_paths_are_those_of_the_api() -> None:
    assert POLICIES.path("a b", "x") == "/apis/trimtab.dev/v1alpha1/namespaces/a%20b/optimizationpolicies/x"
    assert POLICIES.path(None) == "/apis/trimtab.dev/v1alpha1/optimizationpolicies"
    assert DEPLOYMENTS.path("n", "d", "scale") == "/apis/apps/v1/namespaces/n/deployments/d/scale"
    assert CONFIG_MAPS.path("n", "c") == "/api/v1/namespaces/n/configmaps/c"
    assert DEPLOYMENTS.api_version == "apps/v1"
    assert CONFIG_MAPS.api_version == "v1"
