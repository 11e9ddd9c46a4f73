"""Features of frozen backbones: which networks, extraction through ONNX Runtime, the cache.

Computed once, by content. Calls `architectures` and `augmentation`.
"""
