"""Lineside: from a folder of part images to a supervised verdict on every part at the line.

`stages` are the steps of `dvc repro`, `daemon` is the inspection station, `cli` is the `lineside`
command. Everything below them is shared, so that what was evaluated is what runs. Calls point
downward only (`tests/test_boundaries.py` holds the order).
"""

import os

# OpenCV reads these when it is imported, the codec's own check reads the first; what the user has
# set stays. The largest image has 50 million pixels (150 MB as RGB) instead of 2**30, as many as
# `http.max_megapixels` takes: a few bytes can claim any size. A damaged file is reported by
# UnreadableImage, with its name; OpenCV's own lines have none.
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", "50000000")
os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")

__version__ = "0.1.0"
