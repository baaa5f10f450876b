"""kopf as the watch of policies: `on.event` only, in a thread with an event loop of its own.

Why a thread: kopf takes over the process's signals and, when it stops, cancels every task that is younger than itself
in its loop. Its end (it ends on a watch ERROR event other than 410) is no end of ours: it is started again.
Nothing is done inside a handler but handing the event over.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from typing import Any, Final

import kopf

from trimtab_operator.kube.port import Json
from trimtab_operator.kube.resources import POLICIES

CHUNK_SIZE: Final = 500
SERVER_TIMEOUT_SECONDS: Final = 300
STOP_SECONDS: Final = 8.0

# We are alone: without an identity kopf asks the system for the name of a user that no image has.
NO_PEER: Final[Any] = "trimtab-operator"

log = logging.getLogger(__name__)

Deliver = Callable[[str | None, Json], None]
"""(event type: None for the first list, ADDED, MODIFIED or DELETED; the object)"""


class PolicyWatch:
    """One run of kopf. `deliver` is called in the loop that called start()."""

    def __init__(self, deliver: Deliver, namespaces: tuple[str, ...], kubeconfig: str | None) -> None:
        self._deliver = deliver
        self._namespaces = namespaces
        self._kubeconfig = kubeconfig
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._ended: asyncio.Event | None = None

    def start(self) -> None:
        """Begin to watch; returns at once."""
        loop, ended = asyncio.get_running_loop(), asyncio.Event()
        self._ended = ended
        self._thread = threading.Thread(target=self._run, args=(loop, ended), name="kopf", daemon=True)
        self._thread.start()

    async def ended(self) -> None:
        """Wait until kopf has ended, asked to or not."""
        assert self._ended is not None  # noqa: S101 - start() comes first
        await self._ended.wait()

    async def stop(self) -> None:
        """End the watch; a thread that does not end in time is a daemon and dies with the process."""
        self._stop.set()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join, STOP_SECONDS)

    def _run(self, loop: asyncio.AbstractEventLoop, ended: asyncio.Event) -> None:
        try:
            asyncio.run(
                kopf.operator(
                    registry=self._registry(loop),
                    settings=watch_settings(),
                    standalone=True,
                    identity=NO_PEER,
                    clusterwide=not self._namespaces,
                    namespaces=self._namespaces,
                    stop_flag=self._stop,
                )
            )
        except Exception as error:
            log.warning("watch ended", extra={"pairs": {"error": f"{type(error).__name__}: {error}"}})
        finally:
            _call_soon(loop, ended.set)

    def _registry(self, loop: asyncio.AbstractEventLoop) -> kopf.OperatorRegistry:
        registry = kopf.OperatorRegistry()

        def login(**kwargs: Any) -> kopf.ConnectionInfo | None:
            found = kopf.login_with_service_account if self._kubeconfig is None else kopf.login_with_kubeconfig
            return found(**kwargs)

        def hand_over(*, event: Any, **_: Any) -> None:
            _call_soon(loop, self._deliver, event["type"], dict(event["object"]))

        kopf.on.login(registry=registry, errors=kopf.ErrorsMode.TEMPORARY)(login)
        kopf.on.event(POLICIES.group, POLICIES.version, POLICIES.plural, registry=registry)(hand_over)
        return registry


def watch_settings() -> kopf.OperatorSettings:
    """Bounded watches and lists; no Events, no scanning of CRDs or namespaces, no streaming lists.

    Streaming lists end the process where etcd has no progress notifications (seen), so lists come in chunks.
    """
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.scanning.disabled = True
    settings.process.ultimate_exiting_timeout = None
    settings.watching.chunk_size = CHUNK_SIZE
    settings.watching.initial_streaming = False
    settings.watching.server_timeout = SERVER_TIMEOUT_SECONDS
    settings.watching.client_timeout = SERVER_TIMEOUT_SECONDS + 10
    settings.watching.connect_timeout = 10
    settings.networking.request_timeout = 30
    settings.networking.connect_timeout = 10
    settings.persistence.finalizer = "trimtab.dev/never-used"
    settings.persistence.progress_storage = kopf.AnnotationsProgressStorage(prefix="trimtab.dev")
    settings.persistence.diffbase_storage = kopf.AnnotationsDiffBaseStorage(prefix="trimtab.dev")
    return settings


def _call_soon(loop: asyncio.AbstractEventLoop, callback: Callable[..., None], *arguments: Any) -> None:
    try:
        loop.call_soon_threadsafe(callback, *arguments)
    except RuntimeError:  # our loop is closed: the process ends
        log.debug("event after the end")
