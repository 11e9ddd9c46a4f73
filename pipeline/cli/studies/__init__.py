"""Commands of measurement system analysis: `msa`. Calls `daemon`, `ledger`, `reporting`."""
