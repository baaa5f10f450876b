"""The demo's manifests with their placeholders filled in, and the values for the chart. Pure but for reading files."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from string import Template
from typing import Any

import yaml

from dev.demo import plan as names
from dev.demo.errors import DemoError
from dev.demo.plan import DemoPlan

FOLDER = Path(__file__).resolve().parent / "manifests"
GPU_RESOURCE = "nvidia.com/gpu"
SIMULATED_GPU_MOUNT = "/simulated-gpus"

Json = dict[str, Any]


def workload(plan: DemoPlan, engine_image: str) -> str:
    """Return namespace, Deployment and Service of the model; without the GPU resource where the plan has none."""
    text = filled(
        "workload.yaml",
        ENGINE_IMAGE=engine_image,
        MODEL_NAME=names.MODEL_NAME,
        CPU=f"{plan.cpu_millicores}m",
        GPUS=f'"{plan.gpus}"',
    )
    return text if plan.gpus else without_gpus(text)


def without_gpus(text: str) -> str:
    """Return the manifests with no GPU resource in any Deployment."""
    documents: list[Json] = list(yaml.safe_load_all(text))
    for document in documents:
        if document["kind"] == "Deployment":
            resources = document["spec"]["template"]["spec"]["containers"][0]["resources"]
            for kind in ("requests", "limits"):
                resources[kind].pop(GPU_RESOURCE, None)
    return yaml.safe_dump_all(documents, sort_keys=False)


def policy(plan: DemoPlan) -> str:
    """Return the one policy of the demo."""
    return filled(
        "policy.yaml",
        POLICY=names.POLICY,
        OBJECTIVE=f"{plan.objective_seconds * 1000:.0f}ms",
        MAX_REPLICAS=str(plan.max_replicas),
        STABILIZATION=plan.stabilization,
        INTERVAL=plan.interval,
        WINDOW=plan.window,
        PER_GPU_HOUR=f"{plan.prices.per_gpu_hour:.2f}",
        PER_CPU_HOUR=f"{plan.prices.per_cpu_hour:.2f}",
    )


def prometheus(image: str) -> str:
    """Return a Prometheus that scrapes annotated pods; it restarts when its configuration changes."""
    digest = hashlib.sha256((FOLDER / "prometheus.yaml").read_bytes()).hexdigest()[:16]
    return filled(
        "prometheus.yaml",
        PROMETHEUS_IMAGE=image,
        SCRAPE_SECONDS=str(names.SCRAPE_SECONDS),
        CONFIGURATION_HASH=f'"{digest}"',
    )


def chart_values(control_image: str, kubelet: Json, gpu_folder: Path | None) -> Json:
    """Return the values for `helm upgrade --install`.

    `kubelet` holds agent values that a cluster with unusual directories needs; `gpu_folder` is the directory on the
    node with the simulated GPU library and its readings, None for real hardware or none.
    Raises DemoError for an image reference without a tag.
    """
    registry, repository, tag = image_parts(control_image)
    agent: Json = dict(kubelet)
    if gpu_folder is not None:
        agent |= {
            "extraEnv": [
                {"name": "LD_LIBRARY_PATH", "value": SIMULATED_GPU_MOUNT},
                {"name": "TRIMTAB_FAKE_NVML_READINGS", "value": f"{SIMULATED_GPU_MOUNT}/readings"},
            ],
            "extraVolumes": [{"name": "simulated-gpus", "hostPath": {"path": str(gpu_folder), "type": "Directory"}}],
            "extraVolumeMounts": [
                {"name": "simulated-gpus", "mountPath": SIMULATED_GPU_MOUNT, "readOnly": True},
            ],
        }
    return {
        "image": {"registry": registry, "repository": repository, "tag": tag},
        "prometheus": {"url": f"http://prometheus.{names.MONITORING_NAMESPACE}.svc:9090"},
        "metrics": {"scrapeAnnotations": True},
        "recording": {"enabled": True},
        "agent": agent,
    }


def image_parts(reference: str) -> tuple[str, str, str]:
    """Split `registry/repository:tag`; raises DemoError when a part is missing."""
    registry, slash, rest = reference.partition("/")
    repository, colon, tag = rest.rpartition(":")
    if not (slash and colon and registry and repository and tag):
        raise DemoError(f"image {reference!r} is not of the form registry/repository:tag")
    return registry, repository, tag


def filled(template: str, **values: str) -> str:
    """Return a file of the manifests folder with every placeholder replaced; raises KeyError for one without value."""
    common: Mapping[str, str] = {
        "NAMESPACE": names.NAMESPACE,
        "MONITORING_NAMESPACE": names.MONITORING_NAMESPACE,
        "WORKLOAD": names.WORKLOAD,
    }
    return Template((FOLDER / template).read_text()).substitute({**common, **values})
