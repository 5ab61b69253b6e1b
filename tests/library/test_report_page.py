"""The reports in a real browser, from file://: the film plays, no other host is asked, a phone is wide enough."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("aiohttp")
from chromium import Chromium, installed

from camera_perception.io.video_file import VideoFile
from camera_perception.tools.replay.report import write_report

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(installed() is None, reason="needs a browser: apt-get install chromium"),
]
PLAYED = "document.querySelector('video')?.currentTime > 0.2"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    browser = Chromium(tmp_path_factory.mktemp("chromium"))
    yield browser
    browser.close()


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """Two seconds of a square that moves."""
    with VideoFile(tmp_path_factory.mktemp("film") / "film.mp4", 10.0) as video:
        for number in range(20):
            image = np.full((192, 320, 3), 90, np.uint8)
            image[80:100, 10 * number :][:, :20] = 235
            video.write(image)
    return video.path


def of_a_replay(folder: Path, film: Path) -> Path:
    write_report(folder / "report.html", [], facts={"Drive": "two seconds"}, film=film)
    return folder / "report.html"


def of_the_demo(folder: Path, film: Path) -> Path:
    pytest.importorskip("camera_perception_ros.demo", reason="needs ROS 2")
    from camera_perception_ros.demo import report
    from camera_perception_ros.demo.result import STAGES, CameraResult

    result = CameraResult("front", 3, [0, 10**8, 2 * 10**8], [0, 0, 0], [9.0] * 3, lanes_by_frame=[1, 2, 2])
    result.objects_by_frame, result.flags_by_frame = [3, 2, 1], [0, 0, 0]
    result.stages_ms = {stage: [1.0, 2.0, 3.0] for stage in STAGES}
    return report.write_report(folder, [result], film, {"Drive": "two seconds"})


@pytest.mark.parametrize("write", [of_a_replay, of_the_demo])
def test_a_report_is_one_page_whose_film_plays_from_a_file(browser, write, film, tmp_path):
    browser.requests.clear()
    browser.errors.clear()
    page = write(tmp_path, film)
    page = page.rename(page.with_name("elsewhere.html"))  # it needs no file beside it
    browser.open(f"file://{page}")
    browser.wait("document.readyState == 'complete' && document.querySelector('video')")
    browser.evaluate("(async () => { const v = document.querySelector('video'); v.muted = true; await v.play(); })()")
    browser.wait(PLAYED)
    browser.open(f"file://{page}", 390, 844, 2.0, phone=True)
    browser.wait("document.readyState == 'complete'")
    assert browser.evaluate("document.documentElement.scrollWidth") == 390
    assert [url for url in browser.requests if not url.startswith(("file:", "data:", "about:"))] == []
    assert browser.errors == []
