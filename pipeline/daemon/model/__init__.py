"""The model at work: fetched and verified, followed by alias, swapped between two frames.

cache (bundles on this disk) ← follower (validates a new champion in the background) → serving
(swap); `shadow` runs the challenger on the same frames without affecting verdicts.
"""
