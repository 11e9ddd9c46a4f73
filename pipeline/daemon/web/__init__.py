"""The station's web service: pictures and triggers come in, verdicts, records and state go out.

`server` is the worker that the station employs, `app` says what is answered where, `guard` who may
ask (`tokens` knows the keys), `upload` reads what is sent within limits, `answers` carries a
verdict from the inspection's thread to whoever waits, `archive` reads the ledger beside the
station, `metrics` tells Prometheus. Only `settings` is imported before a line file asks for `http`.
May call what the daemon may.
"""
