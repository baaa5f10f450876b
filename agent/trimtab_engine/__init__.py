"""The in-pod serving engine: a front process without torch and one worker process per device."""
