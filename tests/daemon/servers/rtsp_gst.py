# mypy: disable-error-code="import-not-found"
"""An RTSP camera from Debian's GStreamer, for the system's own Python.

rtsp_gst.py PORT CODEC FPS KEY_EVERY: PORT 0 lets the system choose; the port stands in the line
that says that it is ready. Each picture shows the time it was made, in milliseconds, modulo 2^32
(`clock_picture.py`); each KEY_EVERY-th is a key picture.
"""

from __future__ import annotations

import sys
import time

sys.path.append("/usr/lib/python3/dist-packages")
import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from clock_picture import HEIGHT, WIDTH, picture  # noqa: E402
from gi.repository import (  # noqa: E402
    GLib,
    Gst,
    GstRtspServer,
)

FAST = "tune=zerolatency speed-preset=ultrafast key-int-max={key_every} bitrate={rate}"
ENCODERS = {
    "h264": f"x264enc {FAST} ! rtph264pay name=pay0 pt=96 config-interval=1",
    "h265": f"x265enc {FAST} ! rtph265pay name=pay0 pt=96 config-interval=1",
    "jpeg": "jpegenc quality=85 ! rtpjpegpay name=pay0 pt=26",
}
KBIT_A_PICTURE = 75


class Camera(GstRtspServer.RTSPMediaFactory):  # type: ignore[misc]
    def __init__(self, codec: str, fps: int, key_every: int) -> None:
        super().__init__()
        self._fps = fps
        self.set_shared(True)
        self.set_launch(
            "( appsrc name=src is-live=true format=time do-timestamp=true block=false "
            f"max-bytes=2000000 caps=video/x-raw,format=GRAY8,width={WIDTH},height={HEIGHT},"
            f"framerate={fps}/1 ! videoconvert ! video/x-raw,format=I420 "
            f"! {ENCODERS[codec].format(key_every=key_every, rate=KBIT_A_PICTURE * fps)} )"
        )

    def start(self, media: GstRtspServer.RTSPMedia) -> None:
        source = media.get_element().get_child_by_name("src")

        def tick() -> bool:
            data = Gst.Buffer.new_wrapped(picture(int(time.time() * 1000) & 0xFFFFFFFF))
            return bool(source.emit("push-buffer", data) == Gst.FlowReturn.OK)

        GLib.timeout_add(1000 // self._fps, tick)


def main(port: str, codec: str, fps: str, key_every: str) -> None:
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(port)
    camera = Camera(codec, int(fps), int(key_every))
    camera.connect("media-configure", lambda factory, media: factory.start(media))
    server.get_mount_points().add_factory("/line1", camera)
    assert server.attach(None)
    print(server.get_bound_port(), flush=True)
    GLib.MainLoop().run()


main(*sys.argv[1:])
