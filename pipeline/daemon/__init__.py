"""The inspection station: every trigger gets one record with one verdict, whatever happens.

A frame's way, by folder:

    sources/ + triggers/ → inspection/camera → ledger (record opened) → inspection/work_queue
      → inspection/worker → inference (prepare, predict, decide) → inspection/recorder
      → ledger (record closed, outbox entries in the same transaction)
      → outbox/dispatcher → sinks/      and → images/writer (within images/retention)
    model/follower → model/cache → model/serving (swap between two frames), model/shadow

`runtime/supervisor` looks after every worker; `build` puts a station together from its line file
(`settings/line`), `station` runs it, `service` reloads it, `web/` shows it, `systemd` reports it.
May call `inference`, `registry`, `ledger`, `imaging` and `contracts`; never training, stages or
torch.
"""
