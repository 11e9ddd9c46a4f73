"""Training: the only package that imports torch, Lightning, timm and albumentations.

Owns the architectures, the frozen features, the trained head, augmentation and the export to
ONNX. May call `datasets`, `metrics`, `inference`, `registry`, `imaging` and `contracts`; nothing
on the line side calls it.
"""
