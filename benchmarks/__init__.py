"""Commands that print figures measured in one run; what they print is kept in BENCHMARKS.md."""
