"""Where in a picture the part lies, how it is turned, and how sure that is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import cast

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.contracts.spec import Contour, Template
from pipeline.errors import UnreadableImage
from pipeline.imaging import Pixels
from pipeline.imaging.geometry import AnyPixels

CONTOUR_PX = 512
COARSE_PX, FINE_PX = 64, 256
TURN_DEG = 3.0

Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Place:
    """A rectangle of the picture, perhaps turned.

    Attributes:
        centre: x and y, in pixels of the picture.
        size: width and height, in pixels.
        turn_deg: by how much it lies turned, clockwise in the picture.
        confidence: 0 to 1, that this is the part.
    """

    centre: tuple[float, float]
    size: tuple[float, float]
    turn_deg: float
    confidence: float

    def window(self, margin: float) -> tuple[Matrix, tuple[int, int]]:
        """The affine map (2 x 3, window to picture) and the window's width and height."""
        width = max(1, round(self.size[0] * (1 + 2 * margin)))
        height = max(1, round(self.size[1] * (1 + 2 * margin)))
        turn = np.deg2rad(self.turn_deg)
        axes = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        corner = np.array(self.centre) - axes @ np.array([(width - 1) / 2, (height - 1) / 2])
        return np.column_stack([axes, corner]), (width, height)


def by_contour(grey: Pixels, spec: Contour) -> Place:
    """Find the largest area that stands out.

    Its confidence is the share of the grey levels' variance that the two sides of Otsu's threshold
    explain (Otsu 1979, eta; 1 for two flat greys), times the share of all that stands out which
    belongs to this area (two parts in the picture halve it).

    Args:
        grey: uint8 height x width.
        spec: what stands out how.

    Returns:
        The area's rectangle; the whole picture with confidence 0 when nothing stands out.
    """
    height, width = grey.shape
    scale = min(1.0, CONTOUR_PX / max(height, width))
    small = cv2.GaussianBlur(_scaled(grey, scale), (5, 5), 0)
    way = cv2.THRESH_BINARY if spec.part == "brighter" else cv2.THRESH_BINARY_INV
    threshold, stands_out = cv2.threshold(small, 0, 255, way | cv2.THRESH_OTSU)
    contours, _ = cv2.findContours(stands_out, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    areas = [cv2.contourArea(contour) for contour in contours]
    if not areas or max(areas) <= 0:
        return Place(((width - 1) / 2, (height - 1) / 2), (width, height), 0.0, 0.0)
    part = contours[int(np.argmax(areas))]
    confidence = _separability(small, threshold) * max(areas) / sum(areas)
    if spec.upright:
        (x, y), (across, down), turn = cv2.minAreaRect(part)
        quarter = round(turn / 90)
        turn -= 90 * quarter
        across, down = (down, across) if quarter % 2 else (across, down)
        across, down = across + 1, down + 1  # it is measured between the middles of pixels
    else:
        left, top, across, down = cv2.boundingRect(part)
        x, y, turn = left + (across - 1) / 2, top + (down - 1) / 2, 0.0
    # Rounding makes the two sides shrink a little differently.
    kx, ky = small.shape[1] / width, small.shape[0] / height
    return Place(
        ((x + 0.5) / kx - 0.5, (y + 0.5) / ky - 0.5),
        (across / kx, down / ky),
        float(turn),
        float(min(confidence, 1.0)),
    )


def _separability(grey: AnyPixels, threshold: float) -> float:
    upper = grey > threshold
    share = float(upper.mean())
    spread = float(grey.var())
    if spread == 0 or share in (0.0, 1.0):
        return 0.0
    apart = float(grey[upper].mean()) - float(grey[~upper].mean())
    return share * (1 - share) * apart**2 / spread


def by_template(grey: Pixels, golden: Pixels, spec: Template) -> Place:
    """Find where the picture resembles a golden sample.

    Correlation after subtracting the means (OpenCV's TM_CCOEFF_NORMED) over all places and turns of
    a small picture, then around the best one in a larger; its peak is the confidence.

    Args:
        grey: uint8 height x width.
        golden: the golden sample's part, uint8 height x width, not larger than the picture.
        spec: how far parts may be turned.

    Raises:
        UnreadableImage: the picture is smaller than the golden sample.
    """
    if grey.shape[0] < golden.shape[0] or grey.shape[1] < golden.shape[1]:
        raise UnreadableImage(
            f"the picture ({grey.shape[1]}x{grey.shape[0]}) is smaller than the golden sample "
            f'"{spec.reference}" ({golden.shape[1]}x{golden.shape[0]})'
        )
    steps = int(np.ceil(spec.max_turn_deg / TURN_DEG))
    turns = np.linspace(-spec.max_turn_deg, spec.max_turn_deg, 2 * steps + 1)
    rough = _best(grey, golden, turns, COARSE_PX, None)
    if max(golden.shape) <= COARSE_PX and not steps:
        return rough
    spacing = turns[1] - turns[0] if steps else 0.0
    nearby = rough.turn_deg + np.linspace(-spacing, spacing, 9 if steps else 1)
    reach = 2.0 * max(golden.shape) / COARSE_PX
    allowed = np.unique(nearby.clip(-spec.max_turn_deg, spec.max_turn_deg))
    return _best(grey, golden, allowed, FINE_PX, (rough.centre, reach))


def _best(
    grey: Pixels,
    golden: Pixels,
    turns: npt.NDArray[np.float64],
    side_px: int,
    near: tuple[tuple[float, float], float] | None,
) -> Place:
    """The best place over some turns, with the golden sample `side_px` large at most.

    With `near` (a centre and a reach in pixels) only places around it count.
    """
    scale = min(1.0, side_px / max(golden.shape))
    small, pattern = _scaled(grey, scale), _scaled(golden, scale)
    height, width = small.shape
    shrunk = np.array([width / grey.shape[1], height / grey.shape[0]])
    rows, columns = pattern.shape
    middle = ((grey.shape[1] - 1) / 2, (grey.shape[0] - 1) / 2)
    found = Place(middle, (golden.shape[1], golden.shape[0]), 0.0, -1.0)
    for turn in turns.tolist():
        # Turning the picture back by the part's turn puts the part upright; nothing is cut off.
        back = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), turn, 1.0)
        cos, sin = abs(back[0, 0]), abs(back[0, 1])
        size = (int(np.ceil(width * cos + height * sin)), int(np.ceil(width * sin + height * cos)))
        back[:, 2] += (size[0] - width) / 2, (size[1] - height) / 2
        level: AnyPixels = small
        if turn:
            level = cv2.warpAffine(small, back, size, borderMode=cv2.BORDER_REPLICATE)
        left = top = 0
        if near is not None:
            centre = (np.array(near[0]) + 0.5) * shrunk - 0.5
            x, y = back[:, :2] @ centre + back[:, 2]
            span = near[1] * scale
            left = int(np.clip(x - columns / 2 - span, 0, level.shape[1] - columns))
            top = int(np.clip(y - rows / 2 - span, 0, level.shape[0] - rows))
            right, bottom = left + columns + 2 * int(span) + 2, top + rows + 2 * int(span) + 2
            level = level[top:bottom, left:right]
        likeness = cv2.matchTemplate(level, pattern, cv2.TM_CCOEFF_NORMED)
        _, peak, _, (column, row) = cv2.minMaxLoc(likeness)
        if not np.isfinite(peak) or peak <= found.confidence:
            continue
        dx, dy = _between(likeness, row, column)
        at = np.array([left + column + dx + (columns - 1) / 2, top + row + dy + (rows - 1) / 2])
        ahead = cv2.invertAffineTransform(back)
        x, y = (ahead[:, :2] @ at + ahead[:, 2] + 0.5) / shrunk - 0.5
        found = Place((float(x), float(y)), found.size, turn, float(peak))
    return replace(found, confidence=float(np.clip(found.confidence, 0, 1)))


def _between(likeness: AnyPixels, row: int, column: int) -> tuple[float, float]:
    """How far beside a whole pixel the peak lies, by the parabola through its neighbours."""

    def vertex(before: float, at: float, after: float) -> float:
        bend = before - 2 * at + after
        return 0.0 if bend >= 0 else float(np.clip((before - after) / (2 * bend), -0.5, 0.5))

    rows, columns = likeness.shape
    line, stack = likeness[row], likeness[:, column]
    dx = vertex(*line[column - 1 : column + 2]) if 0 < column < columns - 1 else 0.0
    dy = vertex(*stack[row - 1 : row + 2]) if 0 < row < rows - 1 else 0.0
    return dx, dy


def _scaled(grey: Pixels, scale: float) -> Pixels:
    if scale == 1.0:
        return grey
    size = (max(1, round(grey.shape[1] * scale)), max(1, round(grey.shape[0] * scale)))
    return cast(Pixels, cv2.resize(grey, size, interpolation=cv2.INTER_AREA))
