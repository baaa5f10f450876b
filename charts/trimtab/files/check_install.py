"""What `helm test` runs: the three kinds are served, and the operator says that it is ready."""

import json
import os
import ssl
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

KINDS = ("optimizationpolicies", "optimizationtrials", "nodetunings")
TOKENS = Path("/var/run/secrets/kubernetes.io/serviceaccount")
DEADLINE_SECONDS = 60
POLL_SECONDS = 2.0  # until the deadline at most: /readyz cannot be watched, only asked again


def definition_problem(plural: str) -> str | None:
    """Why this kind cannot be used, or None; asks the API server as the operator's account."""
    host = os.environ["KUBERNETES_SERVICE_HOST"]
    address = f"https://{f'[{host}]' if ':' in host else host}:{os.environ['KUBERNETES_SERVICE_PORT']}"
    request = urllib.request.Request(  # noqa: S310 - the scheme stands above
        f"{address}/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{plural}.trimtab.dev",
        headers={"Authorization": f"Bearer {(TOKENS / 'token').read_text()}"},
    )
    context = ssl.create_default_context(cafile=str(TOKENS / "ca.crt"))
    try:
        with urllib.request.urlopen(request, timeout=5, context=context) as answer:  # noqa: S310
            conditions = json.load(answer).get("status", {}).get("conditions", [])
    except OSError as error:
        return f"{plural}.trimtab.dev: {error}; install it with: kubectl apply --server-side -f crds/"
    established = any(entry["type"] == "Established" and entry["status"] == "True" for entry in conditions)
    return (
        None if established else f"{plural}.trimtab.dev is not Established: kubectl describe crd {plural}.trimtab.dev"
    )


def readiness_problem() -> str | None:
    """Complaint of the operator's /readyz, or None."""
    url = f"http://{os.environ['OPERATOR_ADDRESS']}/readyz"
    try:
        with urllib.request.urlopen(url, timeout=5):
            return None
    except urllib.error.HTTPError as error:
        return f"the operator is not ready: {error.read().decode(errors='replace').strip()}"
    except OSError as error:
        return f"the operator does not answer at {url}: {error}"


def problems() -> list[str]:
    """All complaints at this moment."""
    return [text for text in (*map(definition_problem, KINDS), readiness_problem()) if text]


def main() -> int:
    """Ask until all is well or the deadline passes; the last complaints are printed."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while complaints := problems():
        if time.monotonic() > deadline:
            sys.stdout.write("\n".join(complaints) + "\n")
            return 1
        time.sleep(POLL_SECONDS)
    sys.stdout.write("the three kinds are served and the operator is ready\n")
    return 0


sys.exit(main())
