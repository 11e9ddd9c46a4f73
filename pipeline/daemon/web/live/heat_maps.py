"""Heat maps on request: made in idle time, by the model at work, without torch.

Each judgement waits until no part waits for a verdict or gets one, and runs in one thread of the
lowest priority, so that a part that comes meanwhile finds its cores.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np

from pipeline.contracts.taxonomy import Taxonomy
from pipeline.daemon.station import Station
from pipeline.daemon.web.live.pictures import SmallPictures, leave_the_cores
from pipeline.errors import LinesideError
from pipeline.imaging import Pixels, codec
from pipeline.imaging.overlay import overlay, spread
from pipeline.inference.inspector import Inspector
from pipeline.inference.occlusion import Floats, occlusion, steps

MOST_WAITING = 8  # requests; the oldest gives way
REMEMBERED = 64  # maps, of some 100 kB each
IDLE_EVERY_S = 0.005
STAYS_S = 60.0  # so long the network stays in memory for the next request
LARGE_PX = 448  # a small picture is enlarged to this, so that its heat can be seen

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class HeatMap:
    """A heat map, or how far it is.

    Attributes:
        done: share of the work that is done, 0 to 1.
        jpeg: the picture coloured where it is hot; None while it is being made.
        model_version: that it explains.
        failure: why there will be none, "" otherwise.
    """

    done: float = 0.0
    jpeg: bytes | None = None
    model_version: str = ""
    failure: str = ""


class HeatMaps:
    """Makes heat maps, one at a time. Thread-safe."""

    def __init__(self, station: Station, pictures: SmallPictures) -> None:
        self._station = station
        self._pictures = pictures
        self._changed = threading.Condition()
        self._waiting: dict[str, str] = {}  # id to class; the newest last
        self._known: OrderedDict[str, HeatMap] = OrderedDict()
        self._at_work = False
        self._inspector: Inspector | None = None

    def ask(self, identity: str, part_class: str) -> HeatMap:
        """The map of a record, or how far it is; the first request starts the work.

        Args:
            identity: the record's id.
            part_class: what its decision named, for a recipe without a good class.
        """
        with self._changed:
            known = self._known.get(identity)
            if known is not None and not known.failure:
                return known
            self._known[identity] = HeatMap()
            self._waiting[identity] = part_class
            if len(self._waiting) > MOST_WAITING:
                self._known.pop(next(iter(self._waiting)))
                self._waiting.pop(next(iter(self._waiting)))
            while len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
            self._changed.notify()
            if not self._at_work:
                self._at_work = True
                threading.Thread(target=self._work, name="heat maps", daemon=True).start()
            return known or self._known[identity]

    def _work(self) -> None:
        """Make what is asked for until nothing was for a while."""
        leave_the_cores()
        while True:
            with self._changed:
                if not self._waiting:
                    self._changed.wait(STAYS_S)
                if not self._waiting or self._station.stopping:
                    self._at_work, self._inspector = False, None
                    return
                identity, part_class = self._waiting.popitem()  # the newest: somebody looks at it
            try:
                made = self._made(identity, part_class)
            except LinesideError as error:
                made = HeatMap(failure=str(error))
            except Exception as error:
                log.exception("the heat map of record %s was not made", identity)
                made = HeatMap(failure=f"{type(error).__name__}: {error}")
            with self._changed:
                self._known[identity] = made

    def _made(self, identity: str, part_class: str) -> HeatMap:
        pixels = self._pictures.pixels(identity)
        if pixels is None:
            return HeatMap(failure="the picture is not kept, or no longer")
        at_work = self._station.model.current
        self._when_idle()
        if self._inspector is None or self._inspector.bundle is not at_work.inspector.bundle:
            self._inspector = Inspector(at_work.inspector.bundle, 1)
        inspector = self._inspector
        tile = inspector.inspect(pixels).tile
        self._when_idle()
        images = inspector.preparation(pixels).images
        image, heat = images[tile], self._heat(inspector, images, tile, identity, part_class)
        if heat is None:
            return HeatMap(failure="the station is stopping")
        return HeatMap(1.0, codec.encode_jpeg(_enlarged(overlay(image, heat)), 90), at_work.version)

    def _heat(
        self, inspector: Inspector, images: Pixels, tile: int, identity: str, part_class: str
    ) -> Floats | None:
        """Float32 H,W of a tile of a part, uint8 T,H,W,C; None where the station stops."""
        image = images[tile]

        def judge(covered: Pixels) -> Floats:
            if inspector.predictor.pools:  # it takes whole parts
                covered = np.concatenate([images[:tile], covered, images[tile + 1 :]])
            return inspector.predictor.predict(covered).probabilities

        if (
            not inspector.predictor.pools
            and (own := inspector.predictor.heat(image[None])) is not None
        ):
            return spread(own[0].clip(0, 1), image.shape[:2])
        taxonomy = inspector.bundle.taxonomy
        n = steps()
        judged = occlusion(
            *(judge, image, taxonomy.passing, _position(taxonomy, part_class)),
        )
        for i, heat in enumerate(judged):
            if heat is not None:
                return heat
            with self._changed:
                self._known[identity] = HeatMap(done=i / n)
            if not self._when_idle():
                break
        return None

    def _when_idle(self) -> bool:
        """Wait until no part waits or is inspected; False where the station stops."""
        pause = threading.Event()
        while not self._station.stopping:
            if self._station.work_queue.idle:
                return True
            pause.wait(IDLE_EVERY_S)
        return False


def _position(taxonomy: Taxonomy, part_class: str) -> int:
    """Of a class among the outputs; the first where the model does not know it any more."""
    return taxonomy.names.index(part_class) if part_class in taxonomy.names else 0


def _enlarged(picture: Pixels) -> Pixels:
    """Each pixel as a square of pixels, so that the longer side has about `LARGE_PX`."""
    times = max(1, LARGE_PX // max(picture.shape[:2]))
    return np.repeat(np.repeat(picture, times, axis=0), times, axis=1)
