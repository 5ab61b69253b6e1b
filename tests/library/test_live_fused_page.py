"""The fused view in a real browser: one car from above, each camera's on request, and a click on it."""

from __future__ import annotations

import pytest
from live_frames import found, frame, still

pytest.importorskip("aiohttp")
from chromium import Chromium, installed

from camera_perception.tools.live.access import Access
from camera_perception.tools.live.fused import FUSED, LiveFusion
from camera_perception.tools.live.hello import HELLO, Hello
from camera_perception.tools.live.hub import Hub
from camera_perception.tools.live.protocol import packed
from camera_perception.tools.live.server import LiveServer

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(installed() is None, reason="needs a browser: apt-get install chromium"),
]
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


def test_a_click_on_a_fused_object_selects_it_in_a_camera(page):
    page.wait("document.querySelector('#birds-eye').dataset.objects == '1'")
    page.evaluate("""(() => {
      const canvas = document.querySelector("#birds-eye"), box = canvas.getBoundingClientRect();
      const meter = box.height / 68;
      const at = { clientX: box.left + box.width / 2 - 2 * meter, clientY: box.top + box.height - (23.2 + 8) * meter };
      canvas.dispatchEvent(new MouseEvent("click", at));
    })()""")
    text = page.wait("!document.querySelector('#inspector').hidden && document.querySelector('#inspector').textContent")
    assert "car #7" in text
    assert "camerafront" in text
