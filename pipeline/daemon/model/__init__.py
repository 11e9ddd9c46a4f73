"""The model at work: fetched and verified, followed by alias, swapped between two frames.

cache (bundles on this disk) ← follower (tries a new champion in the background) → serving (swap);
`shadow` judges beside it without a say.
"""
