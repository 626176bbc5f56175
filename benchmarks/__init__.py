"""Measurements: each module is a command that runs both sides of a comparison in one run. README.md says how."""
