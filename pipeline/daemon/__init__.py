"""The inspection station: every trigger gets one record with one verdict, whatever happens.

A frame's way: `sources/` and `triggers/` -> `camera` (opens the record) -> `intake` (overload) ->
`inspection` (with the model of `serving`, after the `health` gate) -> `books` (closes it in the
`ledger`) -> `postman` (from the outbox to `sinks/`) and `keeping` (frames, within `retention`).
`assembly` puts a station together from its line file (`line`), `loop` runs it, `supervision`
replaces workers that die or hang, `service` reloads it, `web` shows it, `audit` proves its account.
May call `inference`, `registry`, `imaging` and `contracts`; never training, stages or torch.
"""
