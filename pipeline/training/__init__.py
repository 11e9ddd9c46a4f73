"""Training: the only package that imports torch, Lightning, timm and albumentations.

A training's way, by folder: `training_data` (what the stages before wrote) → `features/` (of frozen
`architectures/`) → `heads/` or `finetune/` → `export` (one ONNX graph) and `checkpoint` (the same
network for gradients). `methods` puts them together by `settings`; `augmentation/` makes the views.
May call `datasets`, `metrics`, `inference`, `registry`, `imaging` and `contracts`; nothing on the
line side calls it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
