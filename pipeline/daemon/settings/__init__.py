"""Settings of a line file: the whole line, and its web service.

Pure settings with their descriptions, no behaviour. Calls `sources`, `triggers` and `sinks` for
their settings only.
"""
