"""Video files that browsers play.

PyAV writes H.264 (.mp4) or VP9 (.webm). Without it OpenCV writes VP8 (.webm): its VP9 encoder cannot be told to hurry
and manages one frame of 1600x1080 a second. OpenCV's .mp4 (MPEG-4 part 2) plays in video players only.
"""

from __future__ import annotations

import base64
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

import cv2
import numpy as np

from camera_perception.core.errors import BagError
from camera_perception.image.native_messages import native_messages_hidden

SUFFIXES = (".mp4", ".webm")
MIME = {".mp4": "video/mp4", ".webm": "video/webm"}
CODECS: dict[str, tuple[str, dict[str, str]]] = {
    ".mp4": ("libx264", {"preset": "veryfast", "crf": "24"}),
    ".webm": ("libvpx-vp9", {"deadline": "realtime", "cpu-used": "8", "crf": "34", "b": "0"}),
}
FOURCC = {".mp4": "mp4v", ".webm": "VP80"}


class Encoder(Protocol):
    """What writes the frames of one file."""

    def write(self, image: np.ndarray) -> None: ...

    def close(self) -> None: ...


class VideoFile:
    """A video of images (H, W, 3) uint8 BGR. The first image sets the size; later ones are scaled to it.

    Width and height become even, as H.264 wants them: an odd image gets one more row or column.
    raises BagError when the file cannot be written
    """

    def __init__(self, path: Path, hz: float) -> None:
        self.path, self._hz = path, hz
        self._encoder: Encoder | None = None
        self._size = (0, 0)

    def write(self, image: np.ndarray) -> None:
        if self._encoder is None:
            self._size = image.shape[1] + image.shape[1] % 2, image.shape[0] + image.shape[0] % 2
            self._encoder = _open(self.path, self._hz, self._size)
        self._encoder.write(_fitted(image, self._size))

    def close(self) -> None:
        if self._encoder is not None:
            self._encoder.close()
            self._encoder = None

    def __enter__(self) -> VideoFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def browser_suffix() -> str:
    """.mp4 where PyAV can write H.264, else .webm."""
    return ".mp4" if _can_encode(CODECS[".mp4"][0]) else ".webm"


def data_url(path: Path) -> str:
    """The file as a URL that a page carries in itself."""
    return f"data:{MIME[path.suffix]};base64,{base64.b64encode(path.read_bytes()).decode()}"


def _fitted(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The image in width and height `size`: padded by up to one pixel, else scaled."""
    right, bottom = size[0] - image.shape[1], size[1] - image.shape[0]
    if (right, bottom) == (0, 0):
        return image
    if right in (0, 1) and bottom in (0, 1):
        return cv2.copyMakeBorder(image, 0, bottom, 0, right, cv2.BORDER_REPLICATE)
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def _open(path: Path, hz: float, size: tuple[int, int]) -> Encoder:
    path.parent.mkdir(parents=True, exist_ok=True)
    codec, options = CODECS[path.suffix]
    if _can_encode(codec):
        return _AvEncoder(path, hz, size, codec, options)
    return _CvEncoder(path, hz, size)


def _can_encode(codec: str) -> bool:
    try:
        from av.codec import Codec

        Codec(codec, "w")
    except (ImportError, ValueError):  # PyAV's UnknownCodecError is a ValueError
        return False
    return True


class _AvEncoder:
    def __init__(self, path: Path, hz: float, size: tuple[int, int], codec: str, options: dict[str, str]) -> None:
        import av

        try:
            # faststart: the index comes first, so that a browser shows the first frame at once.
            self._file: Any = av.open(
                str(path), "w", options={"movflags": "faststart"} if path.suffix == ".mp4" else {}
            )
        except OSError as error:
            raise BagError(f"{path} cannot be written ({error}): give a folder that you may write to") from error
        stream: Any = self._file.add_stream(codec, rate=Fraction(hz).limit_denominator(1001), options=options)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"  # the only layout that every browser decodes
        stream.thread_count = 2
        self._stream = stream
        self._frame = av.VideoFrame

    def write(self, image: np.ndarray) -> None:
        frame = self._frame.from_ndarray(np.ascontiguousarray(image), format="bgr24")
        self._file.mux(self._stream.encode(frame))

    def close(self) -> None:
        self._file.mux(self._stream.encode())
        self._file.close()


class _CvEncoder:
    def __init__(self, path: Path, hz: float, size: tuple[int, int]) -> None:
        with native_messages_hidden():  # OpenCV prints "tag VP80 is not supported", then writes the file correctly
            self._file = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*FOURCC[path.suffix]), hz, size)
        if not self._file.isOpened():
            raise BagError(f"{path} cannot be written: pip install av, or check that the disk is not full")

    def write(self, image: np.ndarray) -> None:
        self._file.write(image)

    def close(self) -> None:
        self._file.release()
