"""What a line file may say: the whole line, and its web service.

Pure settings with their descriptions, no behaviour. Calls `sources`, `triggers` and `sinks` for
their settings only.
"""
