"""The loop of trust through faults and restarts: what stands in the cluster afterwards."""

from __future__ import annotations

import asyncio
import base64
import logging
import math
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

import pytest
from cryptography import x509
from fakes.certificates import NAMES, SYSTEM, chain_of, request_body
from fakes.clock import FakeClock, settle
from fakes.kube import FakeKube, Fault

from trimtab_api import wire
from trimtab_operator.controllers.trust import signing
from trimtab_operator.controllers.trust.rotation import Authorities
from trimtab_operator.controllers.trust.secret import parse
from trimtab_operator.controllers.trust.trust import Trust
from trimtab_operator.errors import (
    KubeConflict,
    KubeError,
    KubeForbidden,
    KubeNotFound,
    KubeUnavailable,
    LeadershipLost,
)
from trimtab_operator.kube.gate import WriteGate
from trimtab_operator.kube.resources import CERTIFICATE_SIGNING_REQUESTS, CONFIG_MAPS, SECRETS
from trimtab_operator.settings import TrustSettings
from trimtab_operator.telemetry import Telemetry

Json = dict[str, Any]
SETTINGS = TrustSettings(settle_seconds=180, grace_seconds=3600)
FAILURES = [KubeConflict, KubeUnavailable]


@dataclass
class Ground:
    """A cluster, and the process that leads; `restart` is another one that knows nothing."""

    kube: FakeKube = field(default_factory=FakeKube)
    clock: FakeClock = field(default_factory=FakeClock)
    namespaces: set[str] = field(default_factory=lambda: {"chat", "search"})

    def __post_init__(self) -> None:
        self.telemetry = Telemetry(self.clock)
        self.restart()

    def restart(self) -> None:
        self.trust = Trust(self.kube, self.clock, SYSTEM, lambda: self.namespaces, SETTINGS, telemetry=self.telemetry)

    async def rounds(self, count: int = 1) -> None:
        for _ in range(count):
            self.clock.tick(await self.trust.round())

    def ask(self, name: str = "agent-1", **spec: Any) -> None:
        self.kube.seed(CERTIFICATE_SIGNING_REQUESTS, request_body(name, **spec))

    def request(self, name: str = "agent-1") -> Json:
        return self.kube.stored(CERTIFICATE_SIGNING_REQUESTS, None, name)

    def conditions(self, name: str = "agent-1") -> list[str]:
        return [condition["type"] for condition in self.request(name)["status"].get("conditions") or []]

    def stored(self) -> Authorities:
        found = parse(self.kube.stored(SECRETS, SYSTEM, "trimtab-ca"))
        assert found is not None
        return found

    def published(self, namespace: str = "chat") -> str:
        return str(self.kube.stored(CONFIG_MAPS, namespace, wire.CA_CONFIG_MAP)["data"][wire.CA_KEY])

    def rotate(self, wish: str = "now") -> None:
        self.kube.edit(SECRETS, SYSTEM, "trimtab-ca", {"metadata": {"annotations": {"trimtab.dev/rotate": wish}}})

    def count(self, outcome: str) -> float | None:
        return self.telemetry.registry.get_sample_value("trimtab_operator_certificates_total", {"outcome": outcome})


@pytest.fixture
def ground() -> Ground:
    return Ground()


async def test_an_agents_request_is_approved_and_signed_by_the_published_authority(ground: Ground) -> None:
    ground.ask()
    await ground.rounds()
    leaf, issuer = chain_of(ground.request())
    leaf.verify_directly_issued_by(issuer)
    assert ground.conditions() == ["Approved"]
    assert ground.request()["status"]["conditions"][0]["reason"] == "TrimtabAgent"
    assert ground.published("chat") == ground.published("search") == ground.stored().current.certificate_pem
    assert x509.load_pem_x509_certificate(ground.published().encode()) == issuer
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert set(names.get_values_for_type(x509.DNSName)) == set(NAMES)
    assert ground.trust.authority_hash == ground.stored().current.hash
    assert ground.count("signed") == 1


async def test_what_is_not_an_agents_request_is_denied_and_gets_no_certificate(ground: Ground) -> None:
    ground.ask("eve", username="eve")
    ground.ask("kubelet", signerName="kubernetes.io/kubelet-serving")
    await ground.rounds(2)
    assert ground.conditions("eve") == ["Denied"]
    assert "only system:serviceaccount:sys:trimtab-agent" in ground.request("eve")["status"]["conditions"][0]["message"]
    assert "certificate" not in ground.request("eve")["status"]
    assert ground.request("kubelet")["status"] == {}
    assert ground.count("denied") == 1


async def test_a_request_that_a_person_approved_is_failed_when_it_is_not_an_agents(ground: Ground) -> None:
    body = request_body("eve", username="eve")
    body["status"] = {"conditions": [{"type": "Approved", "status": "True"}]}
    ground.kube.seed(CERTIFICATE_SIGNING_REQUESTS, body)
    await ground.rounds()
    assert ground.conditions("eve") == ["Approved", "Failed"]
    assert "certificate" not in ground.request("eve")["status"]


async def test_a_calm_cluster_is_written_nothing_and_asked_seldom(ground: Ground) -> None:
    ground.ask()
    await ground.rounds(40)
    ground.kube.writes.clear()
    ground.kube.reads.clear()
    await ground.rounds(60)
    assert ground.kube.writes == []
    assert sum(kind == "ConfigMap" for _, kind, _ in ground.kube.reads) <= 2 * 11
    assert await ground.trust.round() == 10


async def test_requests_are_looked_for_often_while_agents_ask(ground: Ground) -> None:
    assert await ground.trust.round() == 10
    ground.ask()
    assert await ground.trust.round() == 2
    ground.clock.tick(59)
    assert await ground.trust.round() == 2
    ground.clock.tick(1)
    assert await ground.trust.round() == 10


async def test_many_requests_are_answered_in_parts(ground: Ground) -> None:
    for number in range(signing.MOST_AT_ONCE + 3):
        ground.ask(f"agent-{number}")
    await ground.rounds()
    assert ground.count("signed") == signing.MOST_AT_ONCE
    await ground.rounds()
    assert ground.count("signed") == signing.MOST_AT_ONCE + 3


@pytest.mark.parametrize("error", FAILURES)
@pytest.mark.parametrize("after", [False, True], ids=["before the write", "its answer lost"])
@pytest.mark.parametrize(
    ("verb", "kind"),
    [
        ("create", "Secret"),
        ("create", "ConfigMap"),
        ("update", "CertificateSigningRequest/approval"),
        ("update", "CertificateSigningRequest/status"),
    ],
)
async def test_a_restart_in_any_step_ends_with_the_same_world(
    ground: Ground, verb: str, kind: str, after: bool, error: type[KubeError]
) -> None:
    ground.ask()
    ground.ask("eve", username="eve")
    ground.kube.fail(verb, kind, error, after=after)
    await ground.rounds()
    ground.restart()
    await ground.rounds(2)
    await assert_good_world(ground, ground.stored().current.certificate_pem)
    assert ground.conditions("eve") == ["Denied"]


@pytest.mark.parametrize("error", FAILURES)
@pytest.mark.parametrize("after", [False, True], ids=["before the write", "its answer lost"])
@pytest.mark.parametrize(("kind", "skipped"), [("Secret", 0), ("ConfigMap", 0), ("ConfigMap", 1), ("Secret", 1)])
async def test_a_restart_in_any_step_of_a_rotation_ends_with_the_same_world(
    ground: Ground, kind: str, skipped: int, after: bool, error: type[KubeError]
) -> None:
    await ground.rounds()
    old = ground.stored().current
    ground.rotate()
    ground.ask()
    fail_later(ground, "patch", kind, error, skipped=skipped, after=after)
    await ground.rounds()
    ground.restart()
    await ground.rounds(2)
    stored = ground.stored()
    assert stored.previous == old
    assert stored.published_at is not None
    assert stored.honoured == "now"
    await assert_good_world(ground, stored.current.certificate_pem + old.certificate_pem)
    assert ground.trust.authority_hash == old.hash


def fail_later(ground: Ground, verb: str, kind: str, error: type[KubeError], *, skipped: int, after: bool) -> None:
    """Fail not the next such call but a later one."""
    calls = {"count": 0}
    original = ground.kube._before

    def before(asked: str, of: str, namespace: str | None, name: str) -> Fault | None:
        if (asked, of) == (verb, kind):
            calls["count"] += 1
            if calls["count"] == skipped + 1:
                ground.kube.fail(verb, kind, error, after=after)
        return original(asked, of, namespace, name)

    ground.kube._before = before  # type: ignore[method-assign, assignment]


async def assert_good_world(ground: Ground, bundle: str) -> None:
    """One approval, one certificate of a published authority, the bundle everywhere; and nothing is left to do."""
    assert [fault.times for fault in ground.kube.faults] == [0]
    assert ground.conditions() == ["Approved"]
    issuer = chain_of(ground.request())[1]
    assert issuer in x509.load_pem_x509_certificates(bundle.encode())
    assert [ground.published(namespace) for namespace in sorted(ground.namespaces)] == [bundle, bundle]
    assert [body["metadata"]["name"] for body in ground.kube.all(SECRETS)] == ["trimtab-ca"]
    ground.kube.writes.clear()
    await ground.rounds()
    assert ground.kube.writes == []


async def test_a_rotation_runs_its_course(ground: Ground) -> None:
    await ground.rounds()
    old = ground.stored().current
    ground.rotate()
    await ground.rounds()
    new = ground.stored().current
    assert new != old
    assert ground.published("search") == new.certificate_pem + old.certificate_pem
    assert ground.trust.authority_hash == old.hash
    ground.clock.tick(SETTINGS.settle_seconds)
    ground.ask()
    await ground.rounds()
    assert ground.trust.authority_hash == new.hash
    assert chain_of(ground.request())[1] == new.certificate
    assert ground.stored().previous == old
    ground.clock.tick(SETTINGS.grace_seconds)
    await ground.rounds()
    assert ground.stored() == Authorities(new, asked="now", honoured="now")
    assert "previous.key" not in ground.kube.stored(SECRETS, SYSTEM, "trimtab-ca")["data"]
    assert ground.published("chat") == new.certificate_pem
    ground.kube.writes.clear()
    await ground.rounds(5)
    assert ground.kube.writes == []


async def test_the_settling_time_counts_from_the_moment_when_every_namespace_has_both(ground: Ground) -> None:
    await ground.rounds()
    old = ground.stored().current
    ground.rotate()
    ground.kube.fail("patch", "ConfigMap", KubeUnavailable, times=1000)
    await ground.rounds()
    ground.clock.tick(1000)
    await ground.rounds()
    assert ground.trust.authority_hash == old.hash
    ground.kube.faults.clear()
    await ground.rounds()
    ground.clock.tick(SETTINGS.settle_seconds - 11)
    await ground.rounds()
    assert ground.trust.authority_hash == old.hash
    ground.clock.tick(11)
    await ground.rounds()
    assert ground.trust.authority_hash == ground.stored().current.hash != old.hash


@pytest.mark.parametrize("error", [KubeForbidden, KubeNotFound], ids=["no right", "the namespace is gone"])
async def test_a_namespace_that_refuses_holds_up_neither_the_others_nor_a_rotation(
    ground: Ground, error: type[KubeError], caplog: pytest.LogCaptureFixture
) -> None:
    ground.kube.fail("create", "ConfigMap", error)
    await ground.rounds()
    assert ground.kube.names(CONFIG_MAPS) == [("search", "trimtab-ca")]
    assert "authority cannot be published" in caplog.text
    ground.kube.fail("create", "ConfigMap", error)
    ground.rotate()
    await ground.rounds()
    assert ground.stored().published_at is not None


async def test_a_foreign_config_map_is_left_alone_and_said_once(
    ground: Ground, caplog: pytest.LogCaptureFixture
) -> None:
    foreign = {"metadata": {"namespace": "chat", "name": "trimtab-ca"}, "data": {"ca.crt": "theirs"}}
    ground.kube.seed(CONFIG_MAPS, foreign)
    await ground.rounds(20)
    assert ground.published("chat") == "theirs"
    assert ground.published("search") == ground.stored().bundle
    said = [record for record in caplog.records if record.message == "authority cannot be published"]
    assert len(said) == 1
    assert "managed-by=trimtab" in vars(said[0])["pairs"]["why"]


async def test_a_foreign_secret_is_left_alone_and_nothing_is_signed(
    ground: Ground, caplog: pytest.LogCaptureFixture
) -> None:
    ground.kube.seed(SECRETS, {"metadata": {"namespace": SYSTEM, "name": "trimtab-ca"}, "data": {}})
    ground.ask()
    await ground.rounds(3)
    assert ground.kube.writes == []
    assert ground.trust.authority_hash is None
    assert "a foreign secret has our name" in caplog.text


async def test_a_config_map_that_somebody_broke_or_removed_is_put_right(ground: Ground) -> None:
    await ground.rounds()
    ground.kube.edit(CONFIG_MAPS, "chat", "trimtab-ca", {"data": {"ca.crt": "broken"}})
    ground.kube.vanish(CONFIG_MAPS, "search", "trimtab-ca")
    await ground.rounds(8)
    assert ground.published("chat") == ground.published("search") == ground.stored().bundle


async def test_a_namespace_that_begins_to_tune_gets_the_authority_in_the_next_round(ground: Ground) -> None:
    await ground.rounds()
    ground.namespaces.add("vision")
    await ground.rounds()
    assert ground.published("vision") == ground.stored().bundle


@pytest.mark.parametrize(
    "broken", [{"ca.key": "AAAA"}, {"ca.crt": "%"}, {"ca.crt": None}], ids=["key", "base64", "gone"]
)
async def test_a_broken_authority_of_ours_is_made_anew(ground: Ground, broken: Json) -> None:
    await ground.rounds()
    before = ground.stored().current
    ground.kube.edit(SECRETS, SYSTEM, "trimtab-ca", {"data": broken})
    await ground.rounds()
    assert ground.stored().current != before
    assert ground.stored().previous is None
    assert ground.published() == ground.stored().bundle


@pytest.mark.parametrize("stamp", ["soon", "2026-13-01", "nan"])
async def test_a_date_that_cannot_be_read_means_not_published_and_is_written_anew(ground: Ground, stamp: str) -> None:
    await ground.rounds()
    ground.rotate()
    await ground.rounds()
    ground.kube.edit(SECRETS, SYSTEM, "trimtab-ca", {"metadata": {"annotations": {"trimtab.dev/published": stamp}}})
    await ground.rounds()
    assert ground.stored().published_at is not None


async def test_an_authority_is_replaced_in_time_by_itself_and_its_end_is_shown(ground: Ground) -> None:
    def expires() -> float | None:
        return ground.telemetry.registry.get_sample_value("trimtab_operator_ca_expires_seconds")

    assert math.isnan(expires() or 0)
    await ground.rounds()
    old, life = ground.stored().current, 365 * 86_400
    assert expires() == pytest.approx(life, abs=2)
    ground.clock.tick(life * 0.76)
    await ground.rounds()
    assert ground.stored().previous == old
    assert expires() == pytest.approx(life, abs=2)


async def test_failures_are_tried_again_ever_more_seldom_and_end_nothing(ground: Ground) -> None:
    ground.kube.fail("get", "Secret", KubeUnavailable, times=6)
    assert [await ground.trust.round() for _ in range(7)] == [2, 4, 8, 16, 30, 30, 10]


async def test_one_step_that_fails_leaves_the_others_to_be_done(ground: Ground) -> None:
    ground.kube.fail("list", "CertificateSigningRequest", KubeUnavailable)
    await ground.rounds()
    assert ground.published() == ground.stored().bundle


async def test_a_mistake_of_ours_ends_nothing(ground: Ground, caplog: pytest.LogCaptureFixture) -> None:
    ground.namespaces = None  # type: ignore[assignment]
    ground.ask()
    await ground.rounds()
    assert "trust step broke" in caplog.text
    assert ground.conditions() == ["Approved"]


async def test_the_loop_ends_when_leadership_is_lost_and_by_nothing_else(ground: Ground) -> None:
    gate = WriteGate(ground.clock)
    gate.open_until(math.inf)
    ground.kube.gate = gate
    ground.kube.fail("get", "Secret", KubeUnavailable, times=3)
    async with running(ground.trust.run()) as task:
        await ground.clock.advance(60)
        assert not task.done()
        gate.close()
        ground.ask()
        await ground.clock.advance(30)
        assert isinstance(task.exception(), LeadershipLost)


class running:  # noqa: N801 - reads as a verb
    """A coroutine as a task that ends with the block."""

    def __init__(self, work: Coroutine[Any, Any, None]) -> None:
        self._work = work

    async def __aenter__(self) -> asyncio.Task[None]:
        self._task = asyncio.create_task(self._work)
        await settle()
        return self._task

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


async def test_no_key_is_said_anywhere(ground: Ground, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    ground.ask()
    for verb, kind in (("create", "Secret"), ("patch", "Secret"), ("patch", "ConfigMap")):
        ground.kube.fail(verb, kind, KubeUnavailable, after=True)
    await ground.rounds(2)
    ground.rotate()
    await ground.rounds(3)
    stored = ground.stored()
    said = "".join(f"{record.getMessage()}{vars(record)}" for record in caplog.records)
    said += repr(stored) + str(vars(ground.trust)) + ground.telemetry.exposition().decode()
    said += "".join(str(body) for body in ground.kube.all(CONFIG_MAPS) + ground.kube.all(CERTIFICATE_SIGNING_REQUESTS))
    assert stored.previous is not None
    for authority in (stored.current, stored.previous):
        body = authority.key_pem.splitlines()[1]
        assert body not in said
        assert base64.b64encode(authority.key_pem.encode()).decode()[40:80] not in said
    assert "PRIVATE KEY" not in said
