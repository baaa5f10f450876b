"""Analysis -> Change | Hold. Pure: what the load needs, what the guardrails leave of it, what the user permits."""
