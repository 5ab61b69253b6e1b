"""Images from the packets of a video: foxglove_msgs/CompressedVideo and ffmpeg_image_transport_msgs/FFMPEGPacket.

A packet can only be decoded after all packets since the last key frame, so none may be skipped.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from camera_perception.core.errors import BadImage, UnknownEncoding
from camera_perception.image.encodings import MAX_PIXELS, check_pixels

# What the format or encoding of a packet contains ("h264", "libx264", "hevc_nvenc;yuv420p;bgr8"): codec of FFmpeg.
CODECS = {"264": "h264", "265": "hevc", "hevc": "hevc", "av1": "av1", "vp9": "vp9"}
WAITING = "no key frame yet: shorten the encoder's key frame interval, or wait for the next one"


@dataclass(frozen=True, slots=True)
class VideoImage:
    """What became of one packet.

    header   as given with the packet
    pixels   (H, W, 3) uint8 BGR; None when it could not be decoded
    problem  why not
    """

    header: Any
    pixels: np.ndarray | None
    problem: str = ""

    def read(self) -> np.ndarray:
        """The pixels; BadImage when there are none."""
        if self.pixels is None:
            raise BadImage(self.problem)
        return self.pixels


def codec_of(message: Any) -> str:
    """FFmpeg's name of the codec of a packet; UnknownEncoding when it is none of CODECS."""
    given = str(getattr(message, "format", "") or getattr(message, "encoding", "")).lower()
    for part, codec in CODECS.items():
        if part in given:
            return codec
    raise UnknownEncoding(f"video encoding '{given}' is unknown: publish h264, h265, vp9 or av1")


class VideoDecoder:
    """Decodes the packets of one camera, in order."""

    def __init__(self, max_pixels: int = MAX_PIXELS) -> None:
        self._max_pixels = max_pixels
        self._codec = ""
        self._context: Any = None
        self._headers: dict[int, Any] = {}
        self._count = 0

    def decode(self, message: Any, header: Any) -> list[VideoImage]:
        """The images that a packet completes, one as a rule: none while the decoder reorders, or a problem."""
        if not len(message.data):  # to a decoder, the end of the video
            return [VideoImage(header, None, "a video packet is empty: check the camera driver")]
        try:
            context = self._open(codec_of(message))
            self._headers[self._count] = header
            frames: list[Any] = context.decode(self._packet(bytes(message.data)))
        except BadImage as error:
            return [VideoImage(header, None, str(error))]
        except (ValueError, OSError, EOFError):  # PyAV's errors are of these kinds
            self._headers.pop(self._count - 1, None)
            return [VideoImage(header, None, f"a video packet cannot be decoded: {WAITING}")]
        return [self._image(frame, header) for frame in frames]

    def flush(self) -> list[VideoImage]:
        """The images that are still inside the decoder, at the end of a recording."""
        frames: list[Any] = self._context.decode(None) if self._context is not None else []
        return [self._image(frame, None) for frame in frames]

    def _open(self, codec: str) -> Any:
        if self._context is None or codec != self._codec:
            try:
                import av
            except ImportError as error:
                raise UnknownEncoding(
                    f"video encoding {codec} needs the '{error.name}' package: pip install av"
                ) from error
            self._codec, self._headers = codec, {}
            # One thread and low delay: otherwise images come out several packets late.
            context: Any = av.CodecContext.create(codec, "r")
            context.thread_count, context.options = 1, {"flags": "low_delay"}
            self._context = context
        return self._context

    def _packet(self, data: bytes) -> Any:
        import av

        packet = av.Packet(data)
        packet.pts = self._count  # comes out with the image, whatever the order
        self._count += 1
        return packet

    def _image(self, frame: Any, header: Any) -> VideoImage:
        header = self._headers.pop(frame.pts, header)
        self._headers = {count: each for count, each in self._headers.items() if count > self._count - 64}
        if getattr(frame, "is_corrupt", False):
            return VideoImage(header, None, f"a video image is damaged because packets were lost: {WAITING}")
        try:
            check_pixels(frame.width, frame.height, self._max_pixels)
        except BadImage as error:
            return VideoImage(header, None, str(error))
        return VideoImage(header, frame.to_ndarray(format="bgr24"))
