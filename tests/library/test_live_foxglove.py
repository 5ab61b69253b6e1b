"""The drive for Foxglove, read by a client that speaks its WebSocket protocol."""

from __future__ import annotations

import asyncio
import json
import struct
import threading

import numpy as np
import pytest
from live_drive import START_NS, player_of, write_drive

from camera_perception.io.ros_types import PERCEPTION_FRAME, deserialize
from camera_perception.tools.live.hub import Hub
from camera_perception.tools.live.protocol import Command

foxglove = pytest.importorskip("foxglove", reason="needs foxglove-sdk: pip install foxglove-sdk==0.30.3")
aiohttp = pytest.importorskip("aiohttp")

from camera_perception.geometry.transforms import pose_from_quaternion  # noqa: E402
from camera_perception.tools.live.foxglove import FoxgloveServer, _quaternion  # noqa: E402


async def text(socket, operation):
    """The next JSON message with this operation."""
    while True:
        message = await asyncio.wait_for(socket.receive(), 20)
        if message.type is aiohttp.WSMsgType.TEXT and json.loads(message.data)["op"] == operation:
            return json.loads(message.data)


async def data(socket, count):
    """(subscription, time in ns, bytes) of some messages."""
    found = []
    while len(found) < count:
        message = await asyncio.wait_for(socket.receive(), 20)
        if message.type is aiohttp.WSMsgType.BINARY and message.data[0] == 1:
            found.append((*struct.unpack_from("<IQ", message.data, 1), message.data[13:]))
    return found


async def visit(server, player):
    """Subscribe to everything at once, then play: what arrives, by topic."""
    url = f"ws://127.0.0.1:{server.port}"
    async with aiohttp.ClientSession() as session, session.ws_connect(url, protocols=["foxglove.sdk.v1"]) as socket:
        topics = (await text(socket, "advertise"))["channels"]
        wanted = [{"id": channel["id"], "channelId": channel["id"]} for channel in topics]
        await socket.send_json({"op": "subscribe", "subscriptions": wanted})
        await socket.send_json({"op": "getParameters", "parameterNames": [], "id": "all"})
        parameters = (await text(socket, "parameterValues"))["parameters"]
        await socket.send_json(
            {"op": "setParameters", "parameters": [{"name": "objects_threshold", "value": 0.25}], "id": "set"}
        )
        changed = (await text(socket, "parameterValues"))["parameters"]
        threading.Thread(target=player.run, args=(False,)).start()
        messages = await data(socket, 8)
        player.stop()
    names = {channel["id"]: channel["topic"] for channel in topics}
    return {names[c] for c in names}, parameters, changed, [(names[i], time, body) for i, time, body in messages]


def test_a_client_that_subscribes_at_once_gets_everything(tmp_path, tiny_model):
    with player_of(tiny_model, write_drive(tmp_path / "drive", cameras=("front",)), Hub()) as player:
        perceiver = player.perceiver
        server = FoxgloveServer(perceiver.cameras, perceiver.thresholds, player.control, lambda folder: None, port=0)
        player.show = server.show
        try:
            topics, parameters, changed, messages = asyncio.run(visit(server, player))
        finally:
            player.stop()
            server.close()
    kinds = ("image", "annotations", "calibration", "scene", "perception")
    assert topics >= {"/tf", "/log", *(f"/front/{kind}" for kind in kinds)}
    assert {"objects_threshold", "lanes_threshold"} <= {parameter["name"] for parameter in parameters}
    assert changed[0]["value"] == 0.25
    assert {topic for topic, _, _ in messages} >= {f"/front/{kind}" for kind in kinds if kind != "calibration"}
    time_ns, body = next((time, body) for topic, time, body in messages if topic == "/front/perception")
    assert time_ns == START_NS
    frame = deserialize(PERCEPTION_FRAME, body)
    assert [found.class_name for found in frame.objects] == ["car"]


def test_parameters_that_may_not_be_set_stay(tmp_path):
    commands = []
    server = FoxgloveServer({}, {"objects": 0.4}, commands.append, port=0, tuning=False)
    try:
        assert server.set_parameters([foxglove.Parameter("objects_threshold", value=0.1)])[0].get_value() == 0.4
        server._tuning = True
        for name, value in (("objects_threshold", 7.0), ("nonsense", 0.1), ("objects_threshold", 0.2)):
            server.set_parameters([foxglove.Parameter(name, value=value)])
    finally:
        server.close()
    assert commands == [Command("tune", 0.2, "objects")]


def test_the_model_changes_between_two_images(tmp_path, tiny_model):
    from camera_perception.core.model_spec import load_spec
    from camera_perception.engines.select import load_engine

    with player_of(tiny_model, write_drive(tmp_path / "drive", cameras=("front",)), Hub()) as player:
        first, frames = player.perceiver.engine, []
        player.show = frames.append
        player._step(1.0)
        spec = load_spec(tiny_model)
        player.perceiver.replace_model(spec, load_engine(spec, "onnxruntime", threads=1))
        player._step(1.0)
        assert player.perceiver.engine is not first
        tracks = [frame.fields["objects"][0]["track_id"] for frame in frames]
        assert (tracks[0], tracks[1]) == (1, 1)
        player.perceiver.engine.close()


@pytest.mark.parametrize("angle", [0.0, 0.3, 3.1])
def test_rotations_as_quaternions(angle):
    class Values:
        """Keeps what the SDK would encode."""

        Quaternion = dict

    axis = np.array([0.2, -0.5, 0.8]) / np.linalg.norm([0.2, -0.5, 0.8])
    rotation = pose_from_quaternion((0, 0, 0), [*(np.sin(angle / 2) * axis), np.cos(angle / 2)])[:3, :3]
    found = _quaternion(Values, rotation)
    there_and_back = pose_from_quaternion((0, 0, 0), [found[name] for name in "xyzw"])[:3, :3]
    np.testing.assert_allclose(there_and_back, rotation, atol=1e-9)
