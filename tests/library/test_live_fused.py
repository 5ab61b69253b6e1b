"""The fused view of the live page: two cameras that see the same car are one car from above."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from camera_perception.core.types import EgoMotion
from camera_perception.io.perception_frame import ego_lane_fields, header_fields
from camera_perception.tools.live.fused import FUSED, LiveFusion, view_from_fields
from camera_perception.tools.live.protocol import LiveFrame

NS, START = 10**9, 1_700_000_000 * 10**9
NAN = float("nan")


def still(from_ns, to_ns):
    return EgoMotion(0.0, 0.0, 0.0)


def found(x, y, track_id, name="car"):
    """Fields of a DetectedObject at (x, y) metres, in the middle of an image of 320x192."""
    return {
        "class_id": 0, "class_name": name, "score": 0.8, "alternatives": [], "cx": 160.0, "cy": 100.0, "width": 40.0,
        "height": 30.0, "truncation": 0, "track_id": track_id, "track_age": 5, "coasted": False, "has_position": True,
        "position_method": 1, "position": {"x": x, "y": y, "z": 0.0}, "position_cov": [1.0, 0.0, 0.0, 0.25],
        "ground_width": 1.8, "range": float(np.hypot(x, y)), "bearing": 0.0, "has_velocity": False,
        "velocity": {"x": NAN, "y": NAN, "z": NAN}, "velocity_over_ground": False, "velocity_cov": [NAN] * 4,
    }  # fmt: skip


def frame(camera, *objects, stamp_ns=START, base_frame="base_link", status=0):
    ground = [{"x": x, "y": y, "z": 0.0} for x, y in ((2.0, -4.0), (30.0, -4.0), (30.0, 4.0), (2.0, 4.0))]
    fields = {
        "header": header_fields(stamp_ns, camera),
        **{"camera_name": camera, "image_width": 320, "image_height": 192, "frame_seq": 0, "frames_dropped": 0},
        **dict.fromkeys(("age_ms", "decode_ms", "preprocess_ms", "inference_ms", "postprocess_ms"), NAN),
        **{"tasks_valid": 1, "status": status, "status_flags": 0, "base_frame": base_frame, "lanes": [], "scene": []},
        "objects": list(objects),
        "ego_lane": ego_lane_fields(None),
        "road": {"u": [], "v": [], "has_ground": True, "ground": ground, "free_distance_ahead": 30.0, "coverage": 0.5},
        "traffic_lights": [],
    }
    picture = cv2.imencode(".png", np.full((192, 320, 3), 90, np.uint8))[1].tobytes()
    return LiveFrame(camera, fields, picture, "image/png", 0.0)


def fused(*frames, cameras=("front", "left"), motion=still):
    """What the last of these frames makes the page show."""
    fusion = LiveFusion(cameras, motion)
    return [fusion.update(each) for each in frames][-1]


def test_one_car_in_two_cameras_is_one_object_that_names_both():
    message = json.loads(fused(frame("front", found(20, 2, 7)), frame("left", found(20.3, 2.1, 9))))
    (car,) = message["perception"]["objects"]
    assert (message["type"], message["names"]) == ("fused", ["front", "left"])
    assert (car["cameras"], car["camera_track_ids"]) == ([0, 1], [7, 9])
    assert 20 <= car["position"]["x"] <= 20.3
    assert len(car["footprint"]) == 4
    assert message["perception"]["road"]["free_distance_ahead"] == 30.0


@pytest.mark.parametrize(
    "frames",
    [
        [frame("front", found(20, 2, 7))],
        [frame("front", found(20, 2, 7)), frame("left", found(20, 2, 9), base_frame="")],
        [frame("front", found(20, 2, 7)), frame("left", found(20, 2, 9), status=2)],
        [frame("front", found(20, 2, 7)), frame("left", found(20, 2, 9), stamp_ns=START + NS)],
    ],
    ids=["one", "no metres", "invalid", "too old"],
)
def test_fewer_than_two_usable_cameras_are_not_fused(frames):
    assert fused(*frames) is None


def test_a_single_camera_is_never_fused_and_a_broken_image_changes_nothing():
    assert fused(frame("front", found(20, 2, 7)), cameras=("front",)) is None
    broken = LiveFrame("left", {"header": header_fields(START, ""), "road": {"ground": [], "has_ground": False}, "status": 2}, b"", "", 0.0)  # fmt: skip # noqa: E501
    assert fused(frame("front", found(20, 2, 7)), broken) is None


def test_the_motion_of_the_car_moves_what_was_seen_earlier():
    def forwards(from_ns, to_ns):
        return EgoMotion(10.0 * (to_ns - from_ns) / NS, 0.0, 0.0)

    earlier, now = frame("front", found(20, 2, 7)), frame("left", found(18, 2, 9), stamp_ns=START + NS // 5)
    (car,) = json.loads(fused(earlier, now, motion=forwards))["perception"]["objects"]
    assert car["position"]["x"] == pytest.approx(18.0, abs=0.3)
    road = json.loads(fused(earlier, now, motion=forwards))["perception"]["road"]
    assert min(point["x"] for point in road["ground"]) == pytest.approx(0.0, abs=0.6)
    assert road["free_distance_ahead"] == 28.0


def test_after_a_seek_nothing_of_before_is_left():
    fusion = LiveFusion(("front", "left"), still)
    fusion.update(frame("front", found(20, 2, 7)))
    fusion.reset()
    assert fusion.update(frame("left", found(20, 2, 9))) is None


def test_an_object_without_position_is_not_above_the_road():
    item = {**found(0, 0, 1), "has_position": False}
    assert view_from_fields(frame("front", item).fields).names == ()


# In the browser

pytest.importorskip("aiohttp")
from chromium import Chromium, installed

from camera_perception.tools.live.access import Access
from camera_perception.tools.live.hello import HELLO, Hello
from camera_perception.tools.live.hub import Hub
from camera_perception.tools.live.protocol import packed
from camera_perception.tools.live.server import LiveServer

browsing = pytest.mark.skipif(installed() is None, reason="needs a browser: apt-get install chromium")
BLUE = (86, 180, 233)
# Colour of the bird's-eye view at (x, y) metres of base_link.
ABOVE = """(() => {{
  const canvas = document.querySelector("#birds-eye"), dpr = window.devicePixelRatio || 1, h = canvas.clientHeight;
  const meter = h / 68, u = canvas.clientWidth / 2 - {y} * meter, v = h - ({x} + 8) * meter;
  return [...canvas.getContext("2d").getImageData(Math.round(u * dpr), Math.round(v * dpr), 1, 1).data.slice(0, 3)];
}})()"""


@pytest.fixture
def page(tmp_path):
    """A page of two cameras that both see the car, 3 m apart in what they say, and their fusion."""
    browser, hub = Chromium(tmp_path), Hub()
    entries = [{"name": name, "no_metres": ""} for name in ("front", "left")]
    hub.publish(HELLO, Hello("a drive", "tiny", "cpu", entries, ("car",), 10.0).text())
    frames = [frame("front", found(20, 2, 7)), frame("left", found(22, 2, 9))]
    fusion = LiveFusion(("front", "left"), still)
    for number, each in enumerate(frames):
        hub.publish(each.camera, packed(each, number))
        text = fusion.update(each)
    hub.publish(FUSED, text)
    with LiveServer(hub, print, Access("127.0.0.1"), port=0) as server:
        browser.open(server.address)
        browser.wait("document.querySelectorAll('.tile:not(.empty)').length == 2")
        yield browser
    browser.close()


@pytest.mark.slow
@browsing
def test_the_page_shows_the_cameras_fused_and_each_one_on_request(page):
    page.wait("document.querySelector('#birds-eye').dataset.objects == '1'")
    assert page.evaluate("document.querySelector('#fused').textContent") == "Fused"
    center = ABOVE.format(x=23.2, y=2.1)  # half a car behind its near side
    assert all(abs(a - b) < 30 for a, b in zip(page.evaluate(center), BLUE)), page.evaluate(center)
    page.evaluate("document.querySelector('#fused').click()")
    page.wait("document.querySelector('#birds-eye').dataset.objects == '2'")
    assert page.evaluate("document.querySelector('#fused').getAttribute('aria-pressed')") == "false"
    page.key("c")
    page.wait("document.querySelector('#birds-eye').dataset.objects == '1'")


@pytest.mark.slow
@browsing
def test_a_click_on_a_fused_object_selects_it_in_a_camera(page):
    page.wait("document.querySelector('#birds-eye').dataset.objects == '1'")
    page.evaluate("""(() => {
      const canvas = document.querySelector("#birds-eye"), box = canvas.getBoundingClientRect(), meter = box.height / 68;
      const at = { clientX: box.left + box.width / 2 - 2 * meter, clientY: box.top + box.height - (23.2 + 8) * meter };
      canvas.dispatchEvent(new MouseEvent("click", at));
    })()""")
    text = page.wait("!document.querySelector('#inspector').hidden && document.querySelector('#inspector').textContent")
    assert "car #7" in text
    assert "camerafront" in text
