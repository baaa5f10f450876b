"""The HTTP session under prometheus-api-client: credentials re-read from files, bounded answers, warnings kept.

The library itself drops `warnings` (how Thanos and Mimir tell of a partial response) and bounds nothing.
"""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any, Final

import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase, HTTPBasicAuth
from urllib3.util.retry import Retry

from trimtab_operator.settings import PrometheusSettings

MAX_ANSWER_BYTES: Final = 32 * 2**20
POOL_SIZE: Final = 8


class AnswerTooLarge(requests.RequestException):
    """The body is larger than MAX_ANSWER_BYTES."""


class _FileAuth(AuthBase):
    """Bearer token or basic authentication from files that rotate; they are read for each request."""

    def __init__(self, settings: PrometheusSettings) -> None:
        self._settings = settings

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        settings = self._settings
        if settings.bearer_token_file is not None:
            request.headers["Authorization"] = f"Bearer {Path(settings.bearer_token_file).read_text().strip()}"
        elif settings.username is not None and settings.password_file is not None:
            HTTPBasicAuth(settings.username, Path(settings.password_file).read_text().strip())(request)
        return request


class BoundedSession(requests.Session):
    """Reads at most MAX_ANSWER_BYTES and remembers the warnings of this thread's last answer."""

    def __init__(self, settings: PrometheusSettings) -> None:
        super().__init__()
        self._last = threading.local()
        self.trust_env = False
        self.auth = _FileAuth(settings)
        self.verify = settings.ca_file or True
        if settings.tenant_header is not None:
            name, value = settings.tenant_header
            self.headers[name] = value

    def mount(self, prefix: str | bytes, adapter: Any) -> None:
        """As the library calls it, with our pool size and retries in place of its own adapter."""
        if isinstance(adapter, HTTPAdapter):
            adapter = HTTPAdapter(max_retries=adapter.max_retries, pool_maxsize=POOL_SIZE)
        super().mount(prefix, adapter)

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        """Send and read the whole answer within the bound.

        Raises:
            AnswerTooLarge: the answer is larger than the bound; nothing of it is used.
        """
        self._last.warnings = ()
        response = super().send(request, **{**kwargs, "stream": True})
        parts, size = [], 0
        for part in response.iter_content(2**16):
            size += len(part)
            if size > MAX_ANSWER_BYTES:
                response.close()
                raise AnswerTooLarge(f"the answer is larger than {MAX_ANSWER_BYTES} bytes")
            parts.append(part)
        response._content = b"".join(parts)
        self._last.warnings = _warnings(response)
        return response

    def take_warnings(self) -> tuple[str, ...]:
        """Warnings of the last answer that this thread got."""
        return tuple(getattr(self._last, "warnings", ()))


def bounded_retry() -> Retry:
    """At most one retry: a hanging server costs two timeouts, not four."""
    return Retry(
        total=1,
        backoff_factor=0.2,
        status_forcelist=[502, 503, 504],
        raise_on_status=False,
        allowed_methods=None,
    )


def _warnings(response: requests.Response) -> tuple[str, ...]:
    if b'"warnings"' not in response.content[-4096:] and b'"warnings"' not in response.content[:4096]:
        return ()
    try:
        body = json.loads(response.content)
    except ValueError:
        return ()
    return tuple(str(each) for each in body.get("warnings") or ()) if isinstance(body, dict) else ()
