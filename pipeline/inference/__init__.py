"""A verified bundle at work: pixels to verdict, the same in evaluation and at the line.

Owns the ONNX Runtime session (`predictor`), the one place where a verdict is decided
(`decide`) and the path of one frame through both (`inspector`). May call `imaging` and
`contracts`.
"""
