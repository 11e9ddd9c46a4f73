"""Augmentation: a policy of effects in terms of the line, its checks, and synthetic defects.

Owns the words (`policy`), their mapping to albumentations (`chain`, and `dust`, which that library
lacks), how often each training image is shown (`oversampling`), defects cut out and pasted
(`defects`, `pasting`, `synthetic`) and whether defects survive the policy (`survival`). May call
`datasets`, `imaging` and `contracts`; does not need torch.
"""

import os

# Set before its import: albumentations asks the package index for its version otherwise.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

from pipeline.training.augmentation.chain import Augmenter
from pipeline.training.augmentation.policy import Policy

__all__ = ["Augmenter", "Policy"]
