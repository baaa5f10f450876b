"""Are our kinds installed, and of this version's schema? The answer names the command that is missing."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from importlib.metadata import version
from typing import Final

from trimtab_api import SCHEMA_REVISION
from trimtab_api.kinds import KINDS, REVISION_ANNOTATION
from trimtab_operator.clock import Clock
from trimtab_operator.errors import KubeError, KubeForbidden, KubeNotFound
from trimtab_operator.kube.port import Kube
from trimtab_operator.kube.resources import CUSTOM_RESOURCE_DEFINITIONS

COMMAND: Final = "kubectl apply --server-side -f crds/"
CHECK_SECONDS: Final = 10.0
STEADY_CHECK_SECONDS: Final = 60.0
CHART_VERSION_ANNOTATION: Final = "trimtab.dev/chart-version"

log = logging.getLogger(__name__)


class SchemaCheck:
    """Looks every ten seconds until all is well, then every minute."""

    def __init__(self, kube: Kube, clock: Clock) -> None:
        self._kube = kube
        self._clock = clock
        self._problem: str | None = "the API server has not been asked yet"
        self._installed = False

    @property
    def problem(self) -> str | None:
        """What is wrong and what to do; None when all is well."""
        return self._problem

    async def watch(self) -> None:
        """Look for ever."""
        while True:
            await self.look()
            await self._clock.sleep(CHECK_SECONDS if self._problem else STEADY_CHECK_SECONDS)

    async def installed(self) -> None:
        """Wait until every kind is served, of whatever revision."""
        while not self._installed:
            await self._clock.sleep(1.0)

    async def look(self) -> None:
        """Ask the API server now."""
        before, self._problem = self._problem, await self._look()
        if self._problem != before:
            log.info("readiness", extra={"pairs": {"problem": self._problem}})

    async def _look(self) -> str | None:
        stale = []
        for kind in KINDS:
            try:
                crd = await self._kube.get(CUSTOM_RESOURCE_DEFINITIONS, None, kind.crd_name)
            except KubeNotFound:
                self._installed = False
                return f"CRD {kind.crd_name} is not installed: run {COMMAND}"
            except KubeForbidden as error:
                return f"the service account may not read CRD {kind.crd_name}: {error.message}"
            except KubeError as error:
                return f"the API server does not answer: {error.message}"
            if not serves(crd["metadata"].get("annotations") or {}, version("trimtab")):
                stale.append(kind.crd_name)
        self._installed = True
        if stale:
            return f"CRD {', '.join(stale)}: not of schema revision {SCHEMA_REVISION}: run {COMMAND}"
        return None


def serves(annotations: Mapping[str, str], own_version: str) -> bool:
    """Say whether definitions with these annotations serve an operator of `own_version`.

    Those of a newer release do: fields are only ever added, and a rollback of the chart leaves them on purpose.
    """
    if annotations.get(REVISION_ANNOTATION) == SCHEMA_REVISION:
        return True
    return _numbers(annotations.get(CHART_VERSION_ANNOTATION, "")) > _numbers(own_version)


def _numbers(text: str) -> tuple[int, ...]:
    """Return major, minor and patch of a version; nothing, which is older than all, where there is none."""
    found = re.match(r"(\d+)\.(\d+)\.(\d+)", text)
    return tuple(int(part) for part in found.groups()) if found else ()
