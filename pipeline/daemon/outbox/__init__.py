"""Delivery of the records that a sink does not have yet, in order, with retries.

The entries lie in the ledger (`pipeline.ledger.outbox`); the dispatcher is the worker that delivers
one sink's entries, `admin` what a person does with dead letters.
"""
