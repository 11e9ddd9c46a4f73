"""What is wrong with a data set before anything is learned from it.

Near-duplicates, leaks between splits, labels that look wrong, images far from all others;
`examination` puts them together.
"""
