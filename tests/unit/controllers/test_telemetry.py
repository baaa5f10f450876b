"""The exported metrics: their table, and that a policy's series live as long as the policy."""

from __future__ import annotations

from fakes.clock import FakeClock

from trimtab_operator.telemetry import TABLE, Telemetry


def test_every_metric_of_the_table_is_exported_and_nothing_else_of_ours() -> None:
    telemetry = Telemetry(FakeClock())
    exported = {metric.name for metric in telemetry.registry.collect() if metric.name.startswith("trimtab_")}
    assert exported == {row.name.removesuffix("_total") for row in TABLE}


def test_counters_end_in_total_and_every_text_names_its_labels() -> None:
    for row in TABLE:
        assert row.name.endswith("_total") == (row.kind.__name__ == "Counter"), row.name
        for label in row.labels:
            assert label in row.text.lower(), row.name


def test_an_authority_that_this_process_has_not_read_has_no_time_to_live_instead_of_none_left() -> None:
    telemetry = Telemetry(FakeClock())
    assert b"trimtab_operator_ca_expires_seconds NaN" in telemetry.exposition()
    telemetry.authority(60)
    assert telemetry.registry.get_sample_value("trimtab_operator_ca_expires_seconds") == 60


def test_what_is_no_longer_measured_disappears() -> None:
    telemetry = Telemetry(FakeClock())
    telemetry.policy("ns", "p", "Analysis", [("trimtab_policy_objective_value", ("latency",), 0.2)])
    assert telemetry.registry.get_sample_value(
        "trimtab_policy_objective_value", {"namespace": "ns", "policy": "p", "objective": "latency"}
    )
    telemetry.policy("ns", "p", "Analysis", [])
    assert b'objective="latency"' not in telemetry.exposition()


def test_a_policys_series_go_when_it_goes() -> None:
    telemetry = Telemetry(FakeClock())
    telemetry.policy("ns", "p", "Discovery", [("trimtab_policy_replicas", ("current",), 3)])
    telemetry.policy("ns", "q", "Discovery", [])
    assert telemetry.registry.get_sample_value("trimtab_operator_policies", {"phase": "Discovery"}) == 2
    telemetry.policy("ns", "p", "Analysis", [("trimtab_policy_replicas", ("current",), 3)])
    telemetry.forget_policy("ns", "p")
    telemetry.forget_policy("ns", "never-seen")
    assert b'policy="p"' not in telemetry.exposition()
    assert b'policy="q"' in telemetry.exposition()
    assert telemetry.registry.get_sample_value("trimtab_operator_policies", {"phase": "Discovery"}) == 1
    assert telemetry.registry.get_sample_value("trimtab_operator_policies", {"phase": "Analysis"}) == 0


def test_a_step_is_timed_also_when_it_fails() -> None:
    clock = FakeClock()
    telemetry = Telemetry(clock)
    try:
        with telemetry.step("observe"):
            clock.tick(2)
            raise ValueError
    except ValueError:
        pass
    assert telemetry.registry.get_sample_value("trimtab_operator_reconcile_seconds_sum", {"step": "observe"}) == 2
