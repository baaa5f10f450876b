"""Step -> world: execute() acts on an intent that is already persisted, report() writes the status and the Events."""
