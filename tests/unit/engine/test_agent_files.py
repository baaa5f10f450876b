"""Token and CA as the link reads them: what is taken, and what counts as missing proof."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from fakes.engine_agent import POD_UID, Authority, a_token

from trimtab_engine.agent_link.credentials import read_ca, read_token, trust
from trimtab_engine.agent_link.failures import LinkError
from trimtab_engine.metrics import AgentState


def test_the_pod_is_read_from_the_token_and_the_token_is_never_shown(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(a_token() + "\n")
    token = read_token(str(file))
    assert (token.text, token.pod_uid) == (a_token(), POD_UID)
    assert token.text not in repr(token)
    file.write_text(a_token("another"))
    assert read_token(str(file)).pod_uid == "another"


def part(text: bytes) -> bytes:
    return base64.urlsafe_b64encode(text).rstrip(b"=")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "TokenMissing"),
        (b"", "TokenMissing"),
        (b"a" * 20_000, "TokenMissing"),
        (b"no token", "TokenUnreadable"),
        (b"a.b.c\r\nHost: elsewhere", "TokenUnreadable"),
        (b"a.!.c", "TokenUnreadable"),
        (b"a.A.c", "TokenUnreadable"),
        (b"a." + part(b"\xff") + b".c", "TokenUnreadable"),
        (b"a." + part(b"{}") + b".c", "TokenUnreadable"),
        (b"a." + part(b'{"kubernetes.io": {"pod": {"uid": 7}}}') + b".c", "TokenUnreadable"),
        (b"a." + part(b"[" * 9000) + b".c", "TokenUnreadable"),
    ],
)
def test_what_is_no_token_of_a_pod_leaves_the_link_untrusted(
    tmp_path: Path, content: bytes | None, reason: str
) -> None:
    if content is not None:
        (tmp_path / "token").write_bytes(content)
    with pytest.raises(LinkError) as failure:
        read_token(str(tmp_path / "token"))
    assert (failure.value.reason, failure.value.state) == (reason, AgentState.UNTRUSTED)


@pytest.mark.parametrize("content", [None, b"", b" \n", b"x" * ((1 << 20) + 1)])
def test_a_ca_that_is_missing_leaves_the_link_untrusted(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "ca.crt").write_bytes(content)
    with pytest.raises(LinkError) as failure:
        read_ca(str(tmp_path / "ca.crt"))
    assert (failure.value.reason, failure.value.state) == ("CaMissing", AgentState.UNTRUSTED)


@pytest.mark.parametrize("content", [b"no certificate", b"\xff\xfe", b"-----BEGIN CERTIFICATE-----\nAAAA\n"])
def test_a_ca_that_holds_no_certificate_leaves_the_link_untrusted(content: bytes) -> None:
    with pytest.raises(LinkError) as failure:
        trust(content)
    assert (failure.value.reason, failure.value.state) == ("CaUnreadable", AgentState.UNTRUSTED)


def test_old_and_new_ca_in_one_file_are_both_trusted() -> None:
    assert len(trust(Authority().pem + Authority().pem).get_ca_certs()) == 2
