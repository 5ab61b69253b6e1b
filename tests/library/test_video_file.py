"""Videos are complete, have even sides and a codec that browsers know; without PyAV as well."""

from __future__ import annotations

import builtins

import cv2
import numpy as np
import pytest

from camera_perception.io.video_file import VideoFile, browser_suffix, data_url

BROWSER_CODECS = {"avc1", "h264", "VP80", "VP90", "vp09"}


def frame(number: int, height: int = 96, width: int = 128) -> np.ndarray:
    """Grey, with a bright block that moves to the right."""
    image = np.full((height, width, 3), 60, np.uint8)
    image[30:60, 8 * number : 8 * number + 24] = 230
    return image


@pytest.fixture(params=["with PyAV", "without PyAV"])
def encoder(request, monkeypatch):
    """Both ways to write; without PyAV its import fails."""
    if request.param == "with PyAV":
        pytest.importorskip("av", reason="needs av: make setup")
    else:
        real = builtins.__import__

        def refuse(name, *rest):
            if name.partition(".")[0] == "av":
                raise ImportError(name)
            return real(name, *rest)

        monkeypatch.setattr(builtins, "__import__", refuse)
    return request.param


def test_every_frame_is_in_a_video_that_browsers_play(encoder, tmp_path):
    path = tmp_path / f"film{browser_suffix()}"
    with VideoFile(path, 10.0) as film:
        for number in range(6):
            film.write(frame(number))
    read = cv2.VideoCapture(str(path))
    codec = int(read.get(cv2.CAP_PROP_FOURCC)).to_bytes(4, "little").decode()
    assert codec in BROWSER_CODECS or not codec.strip("\0")  # OpenCV 4.5 does not tell
    assert round(read.get(cv2.CAP_PROP_FPS)) == 10
    images = [image for done, image in iter(read.read, (False, None)) if done]
    assert len(images) == 6
    assert images[5][45, 8 * 5 + 12].min() > 180
    assert images[5][45, 10].max() < 110


def test_odd_sides_get_a_row_and_other_sizes_are_scaled(encoder, tmp_path):
    path = tmp_path / f"film{browser_suffix()}"
    with VideoFile(path, 12.5) as film:
        for height, width in ((95, 127), (95, 127), (190, 254)):
            film.write(frame(0, height, width))
    read = cv2.VideoCapture(str(path))
    assert (read.get(cv2.CAP_PROP_FRAME_WIDTH), read.get(cv2.CAP_PROP_FRAME_HEIGHT)) == (128, 96)
    assert sum(1 for done, _ in iter(read.read, (False, None)) if done) == 3


def test_a_video_without_frames_is_no_file(tmp_path):
    with VideoFile(tmp_path / "film.mp4", 10.0):
        pass
    assert not (tmp_path / "film.mp4").exists()


def test_a_page_carries_the_file(tmp_path):
    (tmp_path / "film.webm").write_bytes(b"abc")
    assert data_url(tmp_path / "film.webm") == "data:video/webm;base64,YWJj"


def test_nothing_but_the_video_is_printed(encoder, tmp_path, capfd):
    with VideoFile(tmp_path / f"film{browser_suffix()}", 10.0) as film:
        film.write(frame(0))
    assert capfd.readouterr() == ("", "")
