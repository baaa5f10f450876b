"""Operator and agent, written apart, agree: one signs what the other asks for, and both name the authority alike."""

from __future__ import annotations

from fakes.certificates import SYSTEM, a_key, request_body

from trimtab_agent.engines.signing_request import read_issued, request_object, service_names
from trimtab_operator.controllers.trust.authority import make_authority, sign_leaf
from trimtab_operator.controllers.trust.requests import Sign, decide

NOW = 1_700_000_000.0


def test_what_an_agent_asks_for_is_signed_and_read_by_it() -> None:
    key, authority = a_key(), make_authority(NOW)
    asked = request_object("node-1", key, service_names(SYSTEM))
    decision = decide(request_body(**asked["spec"]), SYSTEM)
    assert isinstance(decision, Sign)
    assert set(decision.names) == set(service_names(SYSTEM))
    issued = read_issued(sign_leaf(authority, decision.public_key, decision.names, NOW).encode(), key)
    assert issued.issuer == authority.hash
    assert issued.not_after.timestamp() == NOW + 86_400
