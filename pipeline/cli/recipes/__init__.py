"""Commands that work on a recipe's settings: `tune`. Calls `training`, `contracts`."""
