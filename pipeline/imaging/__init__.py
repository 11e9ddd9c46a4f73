"""The only pixel code: bytes to RGB, RGB to the network's input, and how healthy a picture is.

`decode` and `prepare` are what training, evaluation and the line all run. May call `contracts`
and OpenCV. Nothing outside this package turns bytes or colours into other bytes or colours.
"""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

# Range and channel order are a contract, never inferred from values:
# uint8, 0 to 255, height x width x channels, RGB (or one grey channel).
Pixels: TypeAlias = npt.NDArray[np.uint8]
