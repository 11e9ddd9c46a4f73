"""Pictures of test parts that a person should look at: which, and where their scores come from."""
