"""Video files, streams and devices to RGB pixels, by FFmpeg through PyAV.

PyAV and not `cv2.VideoCapture`: that one waits 90 s for a camera that hangs, and cannot distinguish
a damaged picture from the end.

Pictures are differences to earlier ones, so damage is inherited up to the next key picture. After a
lost packet or an error of the decoder, each picture has a fault until a key picture has come in
whole and was decoded without an error. Not seen: bit errors that make another valid stream (in JPEG
at times, see `jpeg`), and a picture that is missing from a file whose times are not even.
"""

from pipeline.imaging.video.reading import SUFFIXES, VideoFrame, frames, require

__all__ = ["SUFFIXES", "VideoFrame", "frames", "require"]
