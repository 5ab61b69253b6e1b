"""Image encodings that only cv_bridge knows, where it is installed."""

from __future__ import annotations

from array import array
from functools import lru_cache
from typing import Any

import numpy as np
from sensor_msgs.msg import Image

from camera_perception.core.errors import BadImage, UnknownEncoding
from camera_perception.image.encodings import Fallback


@lru_cache(maxsize=1)
def fallback() -> Fallback | None:
    """A decoder to (H, W, 3) uint8 BGR for any encoding of cv_bridge; None where it is not installed."""
    try:
        from cv_bridge import CvBridge, CvBridgeError
    except ImportError:
        return None
    bridge = CvBridge()

    def decode(encoding: str, height: int, width: int, step: int, is_bigendian: bool, data: Any) -> np.ndarray:
        if not height or not width or len(data) < height * step:
            raise BadImage(f"image of {width} x {height} pixels with {len(data)} bytes: check the camera driver")
        message = Image(encoding=encoding, height=height, width=width, step=step, is_bigendian=int(is_bigendian))
        message.data = array("B", bytes(data))
        try:
            return np.ascontiguousarray(bridge.imgmsg_to_cv2(message, "bgr8"))
        except CvBridgeError as error:
            raise UnknownEncoding(f"image encoding '{encoding}' is unknown, also to cv_bridge ({error})") from error

    return decode
