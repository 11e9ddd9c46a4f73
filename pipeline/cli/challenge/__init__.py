"""`lineside challenge`: starts challenge runs and shows them. Calls `ledger`, `daemon.settings`."""
