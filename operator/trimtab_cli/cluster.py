"""What the commands need of a cluster, and the one error they show. Light: no client is imported here."""

from __future__ import annotations

from typing import Protocol

from trimtab_api import OptimizationPolicy, OptimizationTrial
from trimtab_api.trial import TrialApproval


class ClusterError(Exception):
    """The API server refused or did not answer; the text is one line for the person, with what to do."""


class Cluster(Protocol):
    """Reads of one cluster, and the two fields that a person writes."""

    @property
    def namespace(self) -> str:
        """The namespace of the chosen context."""
        ...

    def policies(self, namespace: str | None) -> list[OptimizationPolicy]:
        """Every policy of a namespace, or of all. Raises ClusterError."""
        ...

    def policy(self, namespace: str, name: str) -> OptimizationPolicy:
        """One policy. Raises ClusterError, which names those that exist where this one does not."""
        ...

    def trials(self, namespace: str | None) -> list[OptimizationTrial]:
        """Every trial of a namespace, or of all. Raises ClusterError."""
        ...

    def trial(self, namespace: str, name: str) -> OptimizationTrial:
        """One trial. Raises ClusterError, which names those that exist where this one does not."""
        ...

    def say(self, namespace: str, trial: str, word: TrialApproval) -> None:
        """Write a person's word on a trial. Raises ClusterError."""
        ...

    def roll_back(self, namespace: str, policy: str, to: str | None) -> None:
        """Write which trial's settings a policy shall go back to; None: it goes on trying. Raises ClusterError."""
        ...
