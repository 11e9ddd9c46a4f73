"""The control charts of the station, for programs and for the page Quality.

`answer` composes what is asked from the ledger's counts, `api` answers under `/api/v1/quality`, and
takes the limits that a person sets. May call what the web service may.
"""
