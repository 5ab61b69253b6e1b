"""The choice of the image transport, and one clear line for each reason why no image arrives."""

from __future__ import annotations

import pytest

from camera_perception_ros.camera.image_transport import ImagePublishers, Publisher, choose, diagnose

IMAGE, JPEG = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"
RAW = Publisher("driver", IMAGE, reliable=True)
BEST_EFFORT = Publisher("driver", IMAGE, reliable=False)
COMPRESSED = Publisher("driver", JPEG, reliable=True)
OTHER = Publisher("lidar", "sensor_msgs/msg/PointCloud2", reliable=True)


@pytest.mark.parametrize(
    ("raw", "compressed", "transport"),
    [
        ([], [], None),
        ([RAW], [], "raw"),
        ([], [COMPRESSED], "compressed"),
        ([RAW], [COMPRESSED], "raw"),
        ([OTHER], [], None),
    ],
)
def test_auto_uses_what_is_published_and_prefers_raw(raw, compressed, transport):
    assert choose(ImagePublishers("/image", raw, compressed)) == transport


@pytest.mark.parametrize(
    ("raw", "compressed", "transport", "reliable", "words"),
    [
        ([], [], "raw", False, "nobody publishes /image: start the camera"),
        ([], [], None, False, "nobody publishes /image: start the camera"),
        ([], [COMPRESSED], "raw", False, "driver publishes /image/compressed: set transport to compressed or auto"),
        ([RAW], [], "compressed", False, "driver publishes /image: set transport to raw or auto"),
        ([OTHER], [], "raw", False, "is published as sensor_msgs/msg/PointCloud2 by lidar"),
        ([BEST_EFFORT], [], "raw", True, "set input_reliability to best_effort"),
        ([RAW], [], "raw", True, "but no image arrives"),
        ([BEST_EFFORT], [], "raw", False, "but no image arrives"),
    ],
)
def test_the_line_names_the_reason_and_the_remedy(raw, compressed, transport, reliable, words):
    assert words in diagnose(ImagePublishers("/image", raw, compressed), transport, reliable)


# Video

FFMPEG = Publisher("encoder", "ffmpeg_image_transport_msgs/msg/FFMPEGPacket", reliable=True)
FOXGLOVE = Publisher("encoder", "foxglove_msgs/msg/CompressedVideo", reliable=True)


@pytest.mark.parametrize(
    ("raw", "compressed", "video", "transport"),
    [
        ([], [], {"ffmpeg": [FFMPEG]}, "ffmpeg"),
        ([], [], {"foxglove": [FOXGLOVE]}, "foxglove"),
        ([], [COMPRESSED], {"ffmpeg": [FFMPEG]}, "compressed"),
        ([RAW], [], {"foxglove": [FOXGLOVE]}, "raw"),
        ([], [], {"ffmpeg": [OTHER]}, None),
    ],
)
def test_video_is_used_where_there_are_no_images(raw, compressed, video, transport):
    assert choose(ImagePublishers("/image", raw, compressed, video)) == transport


@pytest.mark.parametrize("installed", [False, True])
@pytest.mark.parametrize(("name", "publisher"), [("ffmpeg", FFMPEG), ("foxglove", FOXGLOVE)])
def test_the_doctor_names_a_video_and_what_it_needs(name, publisher, installed, monkeypatch):
    monkeypatch.setattr("camera_perception_ros.camera.image_transport.find_spec", lambda package: installed or None)
    found = ImagePublishers("/image", [], [], {name: [publisher]})
    package = publisher.type.partition("/")[0]
    for transport in ("raw", None):
        line = diagnose(found, transport, False)
        assert f"nobody publishes /image, but encoder publishes /image/{name}: set transport to {name} or auto" in line
        assert (f"install {package} and av" in line) != installed
    line = diagnose(found, name, False)
    assert ("but no image arrives" if installed else f"/image/{name} needs {package} and av: install") in line
