"""The live page in a real browser: what is drawn, where, and what clicks and keys do."""

from __future__ import annotations

import numpy as np
import pytest
from live_drive import CAR, served, write_drive, write_images

pytest.importorskip("aiohttp")
from chromium import Chromium, installed

from camera_perception.tools.live.access import Access
from camera_perception.tools.live.hello import HELLO, Hello
from camera_perception.tools.live.hub import Hub
from camera_perception.tools.live.protocol import Command
from camera_perception.tools.live.server import LiveServer

TOKEN = "0123456789abcdef"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(installed() is None, reason="needs a browser: apt-get install chromium"),
]

# The colours of three neighbouring pixels around (u, v) of the recorded image, where the first tile draws it.
PIXELS = """(() => {{
  const canvas = document.querySelector(".tile canvas"), scale = canvas.width / 320;
  const pixels = canvas.getContext("2d").getImageData(Math.round({u} * scale) - 1, Math.round({v} * scale), 3, 1).data;
  return [0, 4, 8].map((i) => [...pixels.slice(i, i + 3)]);
}})()"""
CAR_BLUE = (86, 180, 233)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    browser = Chromium(tmp_path_factory.mktemp("chromium"))
    yield browser
    browser.close()


@pytest.fixture
def page(browser):
    """The browser; everything it asked for came from the server, and no script failed."""
    browser.requests.clear()
    browser.errors.clear()
    yield browser
    browser.evaluate("localStorage.clear()")
    asked = [
        url for url in browser.requests if not url.startswith(("about:", "blob:http://127.0.0.1:", "ws://127.0.0.1:"))
    ]
    assert [url for url in asked if not url.startswith("http://127.0.0.1:")] == []
    assert [error for error in browser.errors if "ERR_CONNECTION_REFUSED" not in str(error)] == []  # the server ended


def drawn(page, u, v, color, tolerance=40):
    """Whether something of a colour is drawn at (u, v) of the recorded image."""
    pixels = page.evaluate(PIXELS.format(u=u, v=v))
    return any(all(abs(a - b) <= tolerance for a, b in zip(pixel, color)) for pixel in pixels)


def box_in_message(player):
    """x0 y0 x1 y1 of the car, image pixels, in the frame that is shown."""
    found = player.last.fields["objects"][0]
    x, y, width, height = (found[name] for name in ("cx", "cy", "width", "height"))
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2


@pytest.fixture
def standing_page(page, tmp_path, tiny_model):
    """A page with the sixth image of a drive of one camera; the player keeps its last frame."""
    with served(tiny_model, write_drive(tmp_path / "drive", cameras=("front",)), playing=False) as (server, player, _):
        player.show = lambda frame: setattr(player, "last", frame)
        page.open(server.address)
        page.wait("document.querySelectorAll('.tile').length == 1")
        player.control(Command("seek", 0.5))
        page.wait("document.querySelector('#now').textContent == '0:00.5'")
        page.wait("document.querySelector('#list button')")
        yield page, player, server


def test_boxes_are_where_the_message_says(standing_page):
    page, player, _ = standing_page
    x0, y0, x1, y1 = box_in_message(player)
    assert (x0, x1) == (pytest.approx(CAR[0] + 10, abs=2.5), pytest.approx(CAR[2] + 10, abs=2.5))
    middle = (y0 + y1) / 2
    for u in (x0, x1):
        assert drawn(page, u, middle, CAR_BLUE), u
    for u in (x0 - 12, x1 + 12):
        assert not drawn(page, u, middle, CAR_BLUE), u
    assert drawn(page, (x0 + x1) / 2, middle, (235, 235, 235))
    page.key("1")  # the layer of objects
    page.wait("!document.querySelector('#layer-boxes').checked")
    assert not drawn(page, x0, middle, CAR_BLUE)


def test_lane_lines_have_their_paint(standing_page):
    page, player, _ = standing_page
    lane = next(lane for lane in player.last.fields["lanes"] if lane["color"] == 2)
    index = len(lane["u"]) // 2
    assert drawn(page, lane["u"][index], lane["v"][index], (255, 200, 40))


# Rectangles of the labels of a crowd in front of a car, in a picture of 640x360.
CROWD = """(async () => {
  const { drawOverlay } = await import("/overlay.js"), context = document.createElement("canvas").getContext("2d");
  const item = (class_name, cx, cy, width, height, track_id) =>
    ({ class_name, cx, cy, width, height, track_id, range: 9 });
  const people = [...Array(12).keys()].map((i) => item("pedestrian", 200 + 20 * i, 180, 18, 50, i + 1));
  const objects = [...people, item("car", 320, 150, 200, 120, 20), item("car", 320, 240, 30, 20, 21)], labels = [];
  context.roundRect = (...sides) => labels.push(sides);
  const layers = { boxes: true, labels: true, lights: true };
  drawOverlay(context, { perception: { objects, traffic_lights: [], lanes: [] } },
    { scale: 1, dpr: 1, width: 640, height: 360, layers, palette: { classes: {} }, ignored: [] });
  const boxes = objects.map((o) => [o.cx - o.width / 2, o.cy - o.height / 2, o.width, o.height]);
  return [labels.map((sides) => sides.slice(0, 4)), boxes];
})()"""


def test_labels_hide_neither_objects_nor_each_other(standing_page):
    page, _, _ = standing_page
    labels, boxes = page.evaluate(CROWD)

    def shared(a, b):
        sides = (min(a[i] + a[i + 2], b[i] + b[i + 2]) - max(a[i], b[i]) for i in (0, 1))
        return np.prod([max(side, 0) for side in sides])

    assert len(labels) >= 4
    for number, label in enumerate(labels):
        assert max(shared(label, box) / (box[2] * box[3]) for box in boxes) <= 0.1, label
        assert all(shared(label, other) == 0 for other in labels[:number])


def test_a_click_on_an_object_shows_its_numbers_and_history(standing_page):
    page, player, _ = standing_page
    x0, y0, x1, y1 = box_in_message(player)
    page.evaluate(f"""(() => {{
      const canvas = document.querySelector(".tile canvas"), box = canvas.getBoundingClientRect();
      const scale = box.width / 320;
      const [u, v] = [{(x0 + x1) / 2}, {(y0 + y1) / 2}];
      canvas.dispatchEvent(new MouseEvent("click", {{clientX: box.left + u * scale, clientY: box.top + v * scale}}));
    }})()""")
    text = page.wait("!document.querySelector('#inspector').hidden && document.querySelector('#inspector').textContent")
    found = player.last.fields["objects"][0]
    assert f"car #{found['track_id']}" in text
    assert f"{found['width']:.0f}×{found['height']:.0f} px" in text
    player.control(Command("step", 1.0))
    page.wait("document.querySelector('#inspector .spark text')?.textContent.startsWith('score')")
    page.key("Escape")
    page.wait("document.querySelector('#inspector').hidden")


def test_a_slider_changes_what_is_drawn(page, tmp_path, tiny_model):
    with served(tiny_model, write_images(tmp_path / "images", faint=True), playing=False) as (server, player, _):
        page.open(server.address)
        page.wait("document.querySelector('#threshold-objects')")
        player.control(Command("seek", 0.5))
        page.wait("document.querySelector('#now').textContent == '0:00.5'")
        assert page.evaluate("document.querySelectorAll('#list button').length") == 0
        page.evaluate(
            "(() => { const s = document.querySelector('#threshold-objects'); s.value = 0.1;"
            " s.dispatchEvent(new Event('input')); })()"
        )
        page.wait("document.querySelectorAll('#list button').length == 1")
        assert player.perceiver.thresholds["objects"] == pytest.approx(0.1)
        page.evaluate("document.querySelector('#defaults').click()")
        page.wait("document.querySelectorAll('#list button').length == 0")


def test_keys_play_seek_and_step(standing_page):
    page, player, _ = standing_page
    for key, expected in ((".", "0:00.6"), (",", "0:00.5"), ("Home", "0:00.0")):
        page.key(key)
        page.wait(f"document.querySelector('#now').textContent == '{expected}'")
    page.key(" ")
    page.wait("document.querySelector('#play').getAttribute('aria-label') == 'Play again'")  # played to the end
    assert player.position_ns == pytest.approx(player.recording.end_ns, abs=2e8)
    theme = page.evaluate("document.documentElement.dataset.theme")
    page.key("t")
    assert page.evaluate("document.documentElement.dataset.theme") != theme


def test_cameras_are_tiles_and_one_can_be_large(page, tmp_path, tiny_model):
    with served(tiny_model, write_drive(tmp_path / "drive"), loop=True) as (server, _, _):
        page.open(server.address)
        page.wait("document.querySelectorAll('.tile:not(.empty)').length == 2")
        assert page.evaluate("[...document.querySelectorAll('.tile b')].slice(0).map(b => b.textContent)")[0] == "front"
        page.key("f")
        visible = "[...document.querySelectorAll('.tile')].filter(tile => tile.offsetWidth).length"
        assert page.evaluate(visible) == 1
        page.key("f")
        assert page.evaluate(visible) == 2


def test_a_phone_needs_no_sideways_scrolling(page, tmp_path, tiny_model):
    with served(tiny_model, write_drive(tmp_path / "drive"), loop=True) as (server, _, _):
        page.open(server.address, 360, 740, 2.0, phone=True)
        page.wait("document.querySelectorAll('.tile:not(.empty)').length == 2")
        assert page.evaluate("document.documentElement.scrollWidth") == 360
        small = """[...document.querySelectorAll('#play, .icon:not(.small), #list button')]
          .filter(e => e.offsetWidth && e.offsetHeight < 34).length"""
        assert page.evaluate(small) == 0


def test_the_whole_image_is_visible_on_a_phone_that_lies(page, tmp_path, tiny_model):
    with served(tiny_model, write_drive(tmp_path / "drive"), loop=True) as (server, _, _):
        page.open(server.address, 844, 390, 2.0, phone=True)
        page.wait("document.querySelectorAll('.tile:not(.empty)').length == 2")
        page.wait("document.querySelector('.tile canvas').offsetHeight < 390 - 150")
        width, height = page.evaluate(
            "(({ width, height }) => [width, height])(document.querySelector('.tile canvas'))"
        )
        assert width / height == pytest.approx(320 / 192, abs=0.01)


def test_minimums_of_classes_are_shown_as_a_factor(page):
    hub = Hub()
    heads = [{"name": "objects", "threshold": 0.4, "least": {"car": 0.2}}, {"name": "lanes", "threshold": 0.5}]
    entries = [{"name": "front", "no_metres": ""}]
    hub.publish(HELLO, Hello("a drive", "tiny", "cpu", entries, ("car",), 10.0, heads).text())
    with LiveServer(hub, lambda command: None, Access("127.0.0.1"), port=0) as server:
        page.open(server.address)
        page.wait("document.querySelectorAll('#sliders output').length == 2")
        shown = page.evaluate("[...document.querySelectorAll('#sliders output')].map((each) => each.textContent)")
        assert shown == ["×1.00", "0.50"]
        assert "car 0.20" in page.evaluate("document.querySelector('#sliders label').title")


def test_a_camera_without_an_end_has_no_timeline(page):
    hub = Hub()
    hub.publish(
        HELLO, Hello("rtsp://cam", "tiny", "cpu", [{"name": "camera", "no_metres": "Not calibrated"}], ()).text()
    )
    with LiveServer(hub, print, Access("127.0.0.1"), port=0) as server:
        page.open(server.address)
        page.wait("document.querySelector('#connection').textContent == 'live'")
        assert page.evaluate("document.querySelector('#timeline').offsetHeight") == 0
        hub.publish(" state", '{"type": "state", "error": "the camera is not reachable"}')
        page.wait("document.querySelector('#notice').offsetHeight > 0")


def test_the_connection_comes_back(page, tmp_path, tiny_model):
    source = write_images(tmp_path / "images")
    with served(tiny_model, source, loop=True) as (server, _, _):
        page.open(server.address)
        page.wait("document.body.dataset.frames > 1")
        port = int(server.address.rsplit(":")[-1].strip("/"))
    page.wait("document.querySelector('#connection').textContent.includes('trying again')")
    page.errors.clear()  # the browser logs each attempt that fails
    with served(tiny_model, source, loop=True, port=port):
        page.wait("document.querySelector('#connection').textContent == 'connected'")
        page.evaluate("document.body.dataset.frames = 0")
        page.wait("document.body.dataset.frames > 1")


def test_the_token_is_in_the_address_or_asked_for(page, tmp_path, tiny_model):
    with served(tiny_model, write_images(tmp_path / "images"), token=TOKEN, loop=True) as (server, _, hub):
        page.open(server.address.replace(TOKEN, "wrong-wrong-wrong"))
        page.wait("document.querySelector('#login').open")
        assert page.evaluate("document.querySelectorAll('.tile').length") == 0
        assert len(hub) == 0
        page.evaluate(f"document.querySelector('#token').value = '{TOKEN}'")
        page.evaluate("setTimeout(() => document.querySelector('#enter').click(), 50); 0")  # loads the page again
        page.wait("document.body.dataset.frames > 1")
        assert not any(TOKEN in url for url in page.requests if "#" not in url)


def test_a_page_of_another_site_cannot_connect(page, tmp_path, tiny_model):
    with served(tiny_model, write_images(tmp_path / "images"), loop=True) as (server, _, hub):
        address = server.address.replace("http://127.0.0.1", "ws://127.0.0.1") + "live"
        page.open("data:text/html,elsewhere")
        page.requests.clear()
        page.evaluate("0")
        opened = f"""new Promise(done => {{
          const socket = new WebSocket("{address}");
          socket.onopen = () => done(true);
          socket.onerror = () => done(false);
        }})"""
        assert page.evaluate(opened) is False
        page.errors.clear()
        page.open(server.address)
        page.wait("document.body.dataset.frames > 0")
        page.requests[:] = [url for url in page.requests if not url.startswith("data:")]
