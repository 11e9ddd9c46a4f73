"""Decisions of people about versions, signed and verifiable: promote, reject, withdraw, roll back.

`chain` verifies a recipe's sign-offs and derives its champion from them, `signoffs` reads and
appends them, `verification` compares a version with what was evaluated, `review` takes a decision
and `execution` carries it out in MLflow's tags and aliases. May call the registry's `connection`,
`versions`, `evidence` and `store`.
"""
