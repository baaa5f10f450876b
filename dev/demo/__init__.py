"""The demo: a real deployment under recorded traffic, twice with a fixed size and once with a policy, and a table."""
