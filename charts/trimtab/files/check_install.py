"""What `helm test` runs: the three kinds are served, and the operator says that it is ready."""

import os
import sys
from pathlib import Path

import requests
from requests.adapters import HTTPAdapter
from urllib3.util.retry import Retry

KINDS = ("optimizationpolicies", "optimizationtrials", "nodetunings")
TOKENS = Path("/var/run/secrets/kubernetes.io/serviceaccount")
TIMEOUT_SECONDS = 5
ABOUT_A_MINUTE = Retry(total=9, backoff_factor=1, backoff_max=10, status_forcelist=[503], raise_on_status=False)


def readiness_problem() -> str | None:
    """Complaint of the operator's /readyz about a minute after the first, or None as soon as it has none."""
    url = f"http://{os.environ['OPERATOR_ADDRESS']}/readyz"
    with requests.Session() as session:
        session.mount("http://", HTTPAdapter(max_retries=ABOUT_A_MINUTE))
        try:
            answer = session.get(url, timeout=TIMEOUT_SECONDS)
        except requests.RequestException as error:
            return f"the operator does not answer at {url}: {error}"
    return None if answer.ok else f"the operator is not ready: {answer.text.strip()}"


def definition_problem(plural: str) -> str | None:
    """Why this kind cannot be used, or None; asks the API server as the operator's account."""
    host = os.environ["KUBERNETES_SERVICE_HOST"]
    address = f"https://{f'[{host}]' if ':' in host else host}:{os.environ['KUBERNETES_SERVICE_PORT']}"
    try:
        answer = requests.get(
            f"{address}/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{plural}.trimtab.dev",
            headers={"Authorization": f"Bearer {(TOKENS / 'token').read_text()}"},
            verify=str(TOKENS / "ca.crt"),
            timeout=TIMEOUT_SECONDS,
        )
        answer.raise_for_status()
    except OSError as error:
        return f"{plural}.trimtab.dev: {error}; install it with: kubectl apply --server-side -f crds/"
    conditions = answer.json().get("status", {}).get("conditions", [])
    established = any(entry["type"] == "Established" and entry["status"] == "True" for entry in conditions)
    return (
        None if established else f"{plural}.trimtab.dev is not Established: kubectl describe crd {plural}.trimtab.dev"
    )


def main() -> int:
    """Wait for the operator, which is ready once it can use the kinds; every complaint is printed."""
    readiness = readiness_problem()
    complaints = [text for text in (*map(definition_problem, KINDS), readiness) if text]
    sys.stdout.write("\n".join(complaints or ["the three kinds are served and the operator is ready"]) + "\n")
    return 1 if complaints else 0


sys.exit(main())
