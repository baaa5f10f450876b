"""Connections to one address, opened ahead and reopened regularly.

kube-proxy chooses a pod once for each connection: a client that kept its connections would never reach a new pod.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from dataclasses import dataclass

from dev.load.addresses import Target
from dev.load.connection import Answer, Connection, ConnectionLostError


@dataclass(frozen=True)
class PoolLimits:
    """How many connections, and for how long each may be used (± 50 %, so that they do not expire together)."""

    idle: int = 32
    total: int = 1024
    lifetime_seconds: float = 4.0
    upkeep_seconds: float = 0.1


class Pool:
    """Hands a free connection to each request; opens one when none is free."""

    def __init__(self, target: Target, limits: PoolLimits, *, seed: int = 1) -> None:
        self._target = target
        self._limits = limits
        self._rng = random.Random(seed)
        self._idle: deque[Connection] = deque()
        self._count = 0
        self._upkeep: asyncio.Task[None] | None = None
        self.retried = 0

    async def __aenter__(self) -> Pool:
        self._upkeep = asyncio.create_task(self._keep_up())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._upkeep is not None:
            self._upkeep.cancel()
            await asyncio.gather(self._upkeep, return_exceptions=True)
        for connection in self._idle:
            connection.close()
        self._idle.clear()

    async def exchange(self, request: bytes) -> Answer:
        """Send a request on a free connection and return its answer.

        As HTTP clients do, a request is sent once more when a reused connection turns out to be closed before a single
        byte of the answer has come (a pod that ends closes its idle connections).
        Raises ConnectionLostError or OSError.
        """
        reused = self._take()
        if reused is not None:
            try:
                return await self._use(reused, request)
            except ConnectionLostError as error:
                if not error.untouched:
                    raise
                self.retried += 1
        return await self._use(await self._open(), request)

    async def _use(self, connection: Connection, request: bytes) -> Answer:
        try:
            return await connection.exchange(request)
        finally:
            if connection.open and asyncio.get_running_loop().time() < connection.expires_at_seconds:
                self._idle.append(connection)
            else:
                self._discard(connection)

    def _take(self) -> Connection | None:
        now = asyncio.get_running_loop().time()
        while self._idle:
            connection = self._idle.popleft()
            if connection.open and now < connection.expires_at_seconds:
                return connection
            self._discard(connection)
        return None

    async def _open(self) -> Connection:
        if self._count >= self._limits.total:
            raise ConnectionLostError(f"all {self._limits.total} connections are in use", untouched=True)
        loop = asyncio.get_running_loop()
        expires_at = loop.time() + self._limits.lifetime_seconds * self._rng.uniform(0.5, 1.5)
        self._count += 1
        try:
            _, connection = await loop.create_connection(
                lambda: Connection(expires_at), self._target.address, self._target.port
            )
        except BaseException:
            self._count -= 1
            raise
        return connection

    def _discard(self, connection: Connection) -> None:
        connection.close()
        self._count -= 1

    async def _keep_up(self) -> None:
        """Close idle connections that are too old and open new ones ahead of need; a refused one is retried later."""
        while True:
            for _ in range(len(self._idle)):
                connection = self._take()
                if connection is not None:
                    self._idle.append(connection)
            missing = min(self._limits.idle - len(self._idle), self._limits.total - self._count)
            opened = await asyncio.gather(*(self._open() for _ in range(missing)), return_exceptions=True)
            self._idle.extend(connection for connection in opened if isinstance(connection, Connection))
            await asyncio.sleep(self._limits.upkeep_seconds)
