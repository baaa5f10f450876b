"""Where the API server is and who we are there: the pod's service account, or a kubeconfig for development."""

from __future__ import annotations

from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.config import ConfigException, load_incluster_config, load_kube_config

from trimtab_operator.errors import InvalidSettings


async def api_client(kubeconfig: str | None) -> ApiClient:
    """Return a client with the process's credentials; the service account's token file is re-read every minute.

    Raises:
        InvalidSettings: neither a kubeconfig nor a service account is there.
    """
    configuration = Configuration()
    try:
        if kubeconfig is not None:
            await load_kube_config(config_file=kubeconfig, client_configuration=configuration)  # type: ignore[no-untyped-call]
        else:
            load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
    except (ConfigException, OSError) as error:
        raise InvalidSettings(f"no way to reach the API server: {error}; run in a pod, or set KUBECONFIG") from error
    configuration.retries = None
    client = ApiClient(configuration)
    client.user_agent = "trimtab-operator"
    return client
