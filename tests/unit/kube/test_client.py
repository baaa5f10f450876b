"""The real client against a small HTTP server: errors by status, paging, timeouts, the gate, what is sent."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiohttp import web
from fakes.clock import FakeClock
from kubernetes.aio.client import ApiClient, Configuration

from trimtab_operator import errors
from trimtab_operator.errors import KubeUnavailable, LeadershipLost
from trimtab_operator.kube import client as module
from trimtab_operator.kube.client import KubeClient
from trimtab_operator.kube.gate import WriteGate
from trimtab_operator.kube.resources import PODS, POLICIES
from trimtab_operator.telemetry import Telemetry

Respond = Callable[[web.Request], Awaitable[web.Response]]


class Server:
    """Answers as the test says, and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, dict[str, str], bytes, dict[str, str]]] = []
        self.respond: Respond = self.empty

    @staticmethod
    async def empty(_: web.Request) -> web.Response:
        return web.json_response({})

    async def handle(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.asked.append((request.method, request.path, dict(request.query), body, dict(request.headers)))
        return await self.respond(request)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def telemetry(clock: FakeClock) -> Telemetry:
    return Telemetry(clock)


@pytest.fixture
async def server() -> AsyncIterator[tuple[Server, str]]:
    made = Server()
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", made.handle)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield made, f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


@pytest.fixture
async def client(
    server: tuple[Server, str], clock: FakeClock, telemetry: Telemetry
) -> AsyncIterator[tuple[KubeClient, WriteGate]]:
    configuration = Configuration(host=server[1])
    configuration.api_key["BearerToken"] = "bearer token-1"
    configuration.retries = None
    gate = WriteGate(clock)
    gate.open_until(clock.monotonic() + 1000)
    made = KubeClient(ApiClient(configuration), gate, telemetry, 0.3)
    yield made, gate
    await made.close()


def answer(status: int, message: str = "because") -> Respond:
    async def respond(_: web.Request) -> web.Response:
        return web.json_response({"kind": "Status", "message": message}, status=status)

    return respond


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, "KubeInvalid"),
        (401, "KubeForbidden"),
        (403, "KubeForbidden"),
        (404, "KubeNotFound"),
        (409, "KubeConflict"),
        (422, "KubeInvalid"),
        (429, "KubeUnavailable"),
        (500, "KubeUnavailable"),
        (503, "KubeUnavailable"),
    ],
)
async def test_a_status_becomes_its_error_with_the_servers_sentence(
    server: tuple[Server, str], client: tuple[KubeClient, WriteGate], status: int, error: str
) -> None:
    server[0].respond = answer(status)
    with pytest.raises(getattr(errors, error)) as raised:
        await client[0].get(PODS, "n", "p")
    assert raised.value.message == "because"
    assert raised.value.call == "get /api/v1/namespaces/n/pods/p"


async def test_a_body_that_is_no_json_is_no_answer(
    server: tuple[Server, str], client: tuple[KubeClient, WriteGate]
) -> None:
    async def respond(_: web.Request) -> web.Response:
        return web.Response(text="<html>", status=200)

    server[0].respond = respond
    with pytest.raises(KubeUnavailable):
        await client[0].get(PODS, "n", "p")


async def test_lists_are_read_page_by_page(server: tuple[Server, str], client: tuple[KubeClient, WriteGate]) -> None:
    async def respond(request: web.Request) -> web.Response:
        first = "continue" not in request.query
        return web.json_response(
            {"metadata": {"continue": "more" if first else ""}, "items": [{"n": 1 if first else 2}]}
        )

    server[0].respond = respond
    assert await client[0].list_all(PODS, "n", "app=x") == [{"n": 1}, {"n": 2}]
    assert server[0].asked[1][2] == {"limit": "500", "labelSelector": "app=x", "continue": "more"}


async def test_a_read_that_hangs_ends_in_time(
    server: tuple[Server, str], client: tuple[KubeClient, WriteGate], monkeypatch: pytest.MonkeyPatch
) -> None:
    import asyncio

    monkeypatch.setattr(module, "READ_TIMEOUT_SECONDS", 0.1)
    hold = asyncio.Event()

    async def respond(_: web.Request) -> web.Response:
        await hold.wait()
        return web.Response()

    server[0].respond = respond
    with pytest.raises(KubeUnavailable, match=r"no answer within 0\.1 s"):
        await client[0].get(PODS, "n", "p")
    hold.set()


async def test_no_server_is_unavailable(clock: FakeClock, telemetry: Telemetry) -> None:
    made = KubeClient(ApiClient(Configuration(host="http://127.0.0.1:9")), WriteGate(clock), telemetry, 1)
    with pytest.raises(KubeUnavailable):
        await made.get(PODS, "n", "p")
    await made.close()


async def test_writes_name_their_manager_their_version_and_their_kind_of_patch(
    server: tuple[Server, str], client: tuple[KubeClient, WriteGate], telemetry: Telemetry
) -> None:
    await client[0].patch_scale("n", "d", 3, "17")
    method, path, query, body, headers = server[0].asked[0]
    assert (method, path, query) == (
        "PATCH",
        "/apis/apps/v1/namespaces/n/deployments/d/scale",
        {"fieldManager": "trimtab"},
    )
    assert json.loads(body) == {"metadata": {"resourceVersion": "17"}, "spec": {"replicas": 3}}
    assert headers["Content-Type"] == "application/merge-patch+json"
    assert headers["Authorization"] == "bearer token-1"
    count = {"kind": "Deployment/scale", "verb": "patch", "outcome": "ok"}
    assert telemetry.registry.get_sample_value("trimtab_operator_writes_total", count) == 1


async def test_a_closed_gate_sends_nothing_but_the_lease(
    server: tuple[Server, str], client: tuple[KubeClient, WriteGate]
) -> None:
    made, gate = client
    gate.close()
    for call in (
        made.patch_scale("n", "d", 3, "1"),
        made.patch_status(POLICIES, "n", "p", {}, "1"),
        made.create_event("n", {}),
        made.patch_event("n", "e", {}),
    ):
        with pytest.raises(LeadershipLost):
            await call
    assert server[0].asked == []
    await made.get_lease("n", "l")
    await made.create_lease("n", {"metadata": {}})
    await made.replace_lease("n", "l", {"metadata": {}})
    assert [asked[0] for asked in server[0].asked] == ["GET", "POST", "PUT"]


async def test_a_gate_that_closes_while_the_request_is_made_stops_it(
    server: tuple[Server, str], client: tuple[KubeClient, WriteGate], clock: FakeClock
) -> None:
    made, _ = client
    serialize = made._api.param_serialize

    async def slow(*args: object, **kwargs: object) -> object:
        made_request = await serialize(*args, **kwargs)
        clock.tick(2000)
        return made_request

    made._api.param_serialize = slow
    with pytest.raises(LeadershipLost):
        await made.patch_scale("n", "d", 3, "1")
    assert server[0].asked == []
