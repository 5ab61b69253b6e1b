"""What a stranger on the same network may do to a camera node: which models it loads, and which parameters change."""

from __future__ import annotations

import shutil

import pytest
from driving import parameters
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter

from camera_perception.core.errors import ModelError
from camera_perception.engines.serving.model import ModelRequest
from camera_perception.engines.serving.signature import new_key, private_key, sign
from camera_perception_msgs.srv import LoadModel
from camera_perception_ros.nodes.fusion_node import FusionNode
from camera_perception_ros.params.camera import CameraParams
from camera_perception_ros.params.model_access import below, guarded, without_paths


@pytest.fixture(autouse=True)
def _caches(tmp_path, monkeypatch):
    monkeypatch.setattr("camera_perception.engines.select.TIMED_RUNS", 3)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def models(tmp_path, tiny_model):
    """A folder of two models, and one model elsewhere."""
    for name in ("models/first", "models/second", "elsewhere"):
        shutil.copytree(tiny_model, tmp_path / name)
    (tmp_path / "models/link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "models/loop").symlink_to(tmp_path / "models/loop")
    return tmp_path / "models"


@pytest.mark.parametrize(
    "path",
    ["", "/", ".", "{root}", "{root}/..", "{root}/../elsewhere", "{root}/link", "{root}x", "/etc", "/nowhere", "a\0b"],
)
def test_a_folder_that_is_not_below_the_root_is_refused_with_the_same_words(models, path):
    with pytest.raises(ModelError) as caught:
        below(path.format(root=models), models)
    assert str(caught.value).startswith("the model is not below the parameter model_root:")


@pytest.mark.parametrize("path", ["{root}/second", "{root}/first/../second", "{root}//second/"])
def test_a_folder_below_the_root_is_taken_with_its_links_resolved(models, path):
    assert below(path.format(root=models), models) == (models / "second").resolve()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("model 'tiny' on cpu 1/2", "model 'tiny' on cpu 1/2"),
        ("/home/me/models/tiny/model.json: name: is too long", ".../model.json: name: is too long"),
        ("build one with `camera-perception build-engine /srv/m/tiny --precision fp16`", None),
        ("no engine is in /root/.cache/engines; it's '/a/b'", "no engine is in .../engines; it's '.../b'"),
    ],
)
def test_messages_for_strangers_name_no_folders(text, expected):
    shown = without_paths(text)
    assert expected is None or shown == expected
    assert not any(part in shown for part in ("/home", "/root", "/srv", "/a/"))


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("/srv/m/tiny", "/srv/m/tiny/model.json; engines in .../engines"),
        ("/srv/m/tiny/", "/srv/m/tiny/model.json; engines in .../engines"),
        ("/srv/m/ti", ".../model.json; engines in .../engines"),
        ("/", ".../model.json; engines in .../engines"),
        ("/root", ".../model.json; engines in .../engines"),
    ],
)
def test_the_folder_that_was_asked_for_is_named(asked, expected):
    assert without_paths("/srv/m/tiny/model.json; engines in /root/.cache/engines", asked) == expected


def opened_with(**values):
    """The requests that reach the library, for a node with these parameters."""
    params, requests = CameraParams(**values), []
    return guarded(requests.append, params), params, requests


def test_every_request_has_the_trusted_keys_of_the_node(models):
    open_model, params, requests = opened_with(model=str(models / "first"), trusted_keys=["", "a" * 64])
    open_model(params.model_request)
    open_model(ModelRequest(str(models / "second")))  # as if somebody forgot them
    assert [request.trusted_keys for request in requests] == [("a" * 64,)] * 2


def test_without_a_root_the_folders_beside_the_first_model_are_taken(models):
    open_model, params, requests = opened_with(model=str(models / "link"))
    open_model(params.model_request)  # its own, wherever it leads
    open_model(ModelRequest(str(models / "second")))
    with pytest.raises(ModelError, match="not below"):
        open_model(ModelRequest(str(models.parent / "elsewhere")))
    assert len(requests) == 2


def test_a_root_holds_for_the_parameter_too(models):
    open_model, params, requests = opened_with(model=str(models / "link"), model_root=str(models))
    with pytest.raises(ModelError, match="not below"):
        open_model(params.model_request)
    assert requests == []


def ask(camera, path):
    client = camera.outside.create_client(LoadModel, "/front/camera/load_model")
    camera.spin_until(client.service_is_ready, what="the service")
    answer = client.call_async(LoadModel.Request(path=str(path)))
    camera.spin_until(answer.done, 30, what="an answer of load_model")
    return answer.result()


def test_a_stranger_loads_neither_other_folders_nor_unsigned_ones_and_learns_no_paths(models, make_camera, tmp_path):
    public = new_key(tmp_path / "vehicle.key")
    sign(models / "first", private_key(tmp_path / "vehicle.key"))
    camera = make_camera(
        model=str(models / "first"), model_root=str(models), engine="onnxruntime", trusted_keys=[str(public)]
    )
    camera.activate()
    for path in (models.parent / "elsewhere", models / "second", "/nowhere"):
        response = ask(camera, path)
        assert not response.success
        assert response.message.startswith("keeping the current model")
        assert str(models.parent) not in response.message.replace(str(path), "")
    sign(models / "second", private_key(tmp_path / "vehicle.key"))
    assert ask(camera, models / "second").success


def test_the_service_can_be_switched_off(models, make_camera):
    camera = make_camera(model=str(models / "first"), engine="onnxruntime", load_service=False)
    camera.activate()
    names = [name for name, _ in camera.node.get_service_names_and_types_by_node("camera", "/front")]
    assert "/front/camera/get_parameters" in names
    assert "/front/camera/load_model" not in names


def test_locked_parameters_stay_as_they_were_but_the_node_may_keep_a_loaded_model(models, make_camera):
    camera = make_camera(model=str(models / "first"), engine="onnxruntime", lock_parameters=True)
    changes = {"model": "/x", "jpeg_quality": 5, "use_sim_time": True, "tracker.max_age": 9.0, "lock_parameters": False}
    refused = camera.node.set_parameters([Parameter(name, value=value) for name, value in changes.items()])
    assert not any(result.successful for result in refused)
    assert "lock_parameters" in refused[0].reason
    camera.activate()  # declares parameters of its own
    client = camera.outside.create_client(SetParameters, "/front/camera/set_parameters")
    camera.spin_until(client.service_is_ready, what="the service of parameters")
    wanted = [Parameter("objects_threshold", value=0.9).to_parameter_msg()]
    answer = client.call_async(SetParameters.Request(parameters=wanted))
    camera.spin_until(answer.done, 30, what="an answer of set_parameters")
    assert not answer.result().results[0].successful
    assert camera.node.get_parameter("objects_threshold").value == -1.0
    assert ask(camera, models / "second").success
    camera.spin_until(lambda: camera.node.get_parameter("model").value == str(models / "second"), what="the kept model")


@pytest.mark.parametrize("locked", [False, True])
def test_parameters_of_the_fusion_are_open_unless_they_are_locked(locked, context):
    given = parameters(cameras=["front"], lock_parameters=locked)
    node = FusionNode(context=context, use_global_arguments=False, parameter_overrides=given)
    try:
        assert node.set_parameters([Parameter("max_age", value=0.4)])[0].successful is not locked
    finally:
        node.destroy_node()
