"""The node agent: GPU telemetry, and CPU, memory and network of the node's containers, as Prometheus metrics."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("trimtab")
except PackageNotFoundError:  # run from a source tree that is not installed
    __version__ = "0+source"
