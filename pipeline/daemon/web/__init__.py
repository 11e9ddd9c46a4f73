"""The station's web service: takes pictures and triggers, answers with verdicts, records, status.

`server` is the worker that serves HTTP, `app` defines what is answered where (`described` for
OpenAPI), `access` who may ask (`tokens` are the keys), `upload` reads pictures within limits of
size and time (`form` those in forms), `pending` carries a verdict from the inspection thread to the
client that waits for it, `records` reads the ledger and the kept frames, `review` hands parts to
people, `metrics` exposes figures to Prometheus. Only `daemon/settings/http` is imported before a
line file asks for `http`. May call what the daemon may.
"""
