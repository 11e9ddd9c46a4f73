"""Checks of a data set before training.

Near-duplicates, leaks between splits, labels that look wrong, images far from all others;
`examination` puts them together.
"""
