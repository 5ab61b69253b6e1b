"""cv_bridge takes over for encodings ours does not know; a stand-in shows the way where it is not installed."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from driving import image_message

from camera_perception.core.errors import BadImage, UnknownEncoding
from camera_perception_ros.conversions import cv_bridge, messages


class CvBridgeError(Exception):
    pass


class CvBridge:
    def imgmsg_to_cv2(self, message: Any, wanted: str) -> np.ndarray:
        if message.encoding != "our_own_3":
            raise CvBridgeError("no conversion")
        return np.frombuffer(bytes(message.data), np.uint8).reshape(message.height, message.width, 3)


@pytest.fixture
def with_cv_bridge(monkeypatch):
    module = ModuleType("cv_bridge")
    module.CvBridge, module.CvBridgeError = CvBridge, CvBridgeError  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "cv_bridge", module)
    cv_bridge.fallback.cache_clear()
    yield
    cv_bridge.fallback.cache_clear()


@pytest.mark.usefixtures("with_cv_bridge")
def test_an_encoding_of_cv_bridge_is_decoded_by_it():
    message = image_message(1)
    expected = messages.frame_from_message(message).image
    message.encoding = "our_own_3"
    np.testing.assert_array_equal(messages.frame_from_message(message).image, expected)


@pytest.mark.usefixtures("with_cv_bridge")
def test_what_neither_knows_is_an_unknown_encoding_and_too_few_bytes_a_bad_image():
    message = image_message(1, encoding="yuv444p10")
    with pytest.raises(UnknownEncoding, match="also to cv_bridge"):
        messages.frame_from_message(message)
    message.encoding, message.height = "our_own_3", 1000
    with pytest.raises(BadImage, match="check the camera driver"):
        messages.frame_from_message(message)
