"""What `lineside run` shows while a station inspects: progress lines, or the whole terminal.

Owns the `progress` of a run and the `dashboard` of `--watch`. May call `cli.screen`, `cli.times`,
`daemon` and `contracts`.
"""
