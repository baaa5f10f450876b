"""The controller: observes a target, analyses it, decides one change at a time, acts and writes down why."""
