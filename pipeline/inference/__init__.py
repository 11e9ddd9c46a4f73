"""Inference with a verified bundle: pixels to verdict, the same in evaluation and at the line.

Owns the ONNX Runtime session (`predictor`), the one place where a verdict is decided
(`decide`), the path of one frame through both (`inspector`), and what a bundle must show before
it judges parts (`trial`). May call `imaging` and
`contracts`.
"""
