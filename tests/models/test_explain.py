"""Explanations: answers that count what is still said, maps whose truth is known, and the sanity checks for maps."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from camera_perception.core.errors import ModelError
from camera_perception.core.types import Detections, LaneLine, Observations, SceneAttribute, Task
from perception_models.evaluation.explain import gradients
from perception_models.evaluation.explain.gradients import gradient_maps, said, with_random_weights
from perception_models.evaluation.explain.model import of_network
from perception_models.evaluation.explain.occlusion import blurred, occlusion_maps, random_mask
from perception_models.evaluation.explain.run import explain
from perception_models.evaluation.explain.sanity import inside, left_without, likeness
from perception_models.evaluation.explain.sheet import panel
from perception_models.evaluation.explain.target import Question, answer, questions
from perception_models.network import PerceptionNet, of_size
from perception_models.training.checkpoint import load_network

REPOSITORY = Path(__file__).resolve().parents[2]
TRAINED = REPOSITORY / "perception_models/zoo/checkpoints/demo.safetensors"
BOX = np.array([[20, 10], [60, 50]], np.float32)
CAR = Question("object", "car", 0.8, "car", 2, BOX)
LEFT = Question("lane", "line", 0.9, "-1", "", np.array([[50, 60], [60, 40], [70, 20]], np.float32), 4.0)
DAY = Question("scene", "day", 0.7, "timeofday", "daytime", np.zeros((0, 2), np.float32))


def seen(boxes=(), scores=(), classes=(), lanes=(), scene=()) -> Observations:
    rows = np.array(boxes, np.float32).reshape(-1, 4), np.array(scores, np.float32), np.array(classes, np.int32)
    return Observations(
        Task.OBJECTS, Detections(*rows, np.zeros((len(scores), 0), np.float32)), tuple(lanes), scene=tuple(scene)
    )


def line(shift: float, position: int, score: float = 0.9, rows: int = 3) -> LaneLine:
    return LaneLine((LEFT.shape + (shift, 0)).astype(np.float32)[:rows], score, position)


@pytest.mark.parametrize(
    ("question", "look", "wanted"),
    [
        (CAR, seen(), 0.0),
        (CAR, seen([BOX.ravel()], [0.8], [2]), 0.8),
        (CAR, seen([BOX.ravel()], [0.8], [3]), 0.0),  # something else is there
        (CAR, seen([[20, 10, 60, 30]], [0.8], [2]), 0.4),
        (CAR, seen([[20, 10, 60, 30], [100, 0, 120, 20]], [0.8, 0.99], [2, 2]), 0.4),
        (LEFT, seen(), 0.0),
        (LEFT, seen(lanes=[line(0, -1)]), 0.9),
        (LEFT, seen(lanes=[line(0, 1)]), 0.0),
        (LEFT, seen(lanes=[line(4, -1)]), 0.9 * np.exp(-1)),
        (LEFT, seen(lanes=[line(0, -1, rows=2)]), 0.6),  # a third of it is missing
        (DAY, seen(scene=[SceneAttribute("timeofday", "daytime", 0.6)]), 0.6),
        (DAY, seen(scene=[SceneAttribute("timeofday", "night", 0.6)]), 0.0),
    ],
)
def test_an_answer_is_how_much_of_it_is_still_said(question, look, wanted):
    assert answer(question, look) == pytest.approx(wanted, abs=1e-5)


def test_questions_are_about_what_is_reported():
    look = seen(
        [[0, 0, 9, 9], [5, 5, 20, 20], [1, 1, 3, 3]], [0.5, 0.9, 0.1], [0, 1, 0],
        [line(0, -1), line(0, 1, score=0.3)], [SceneAttribute("weather", "clear", 0.2)],
    )  # fmt: skip
    asked = questions(look, {"objects": 0.4, "lanes": 0.5}, ("person", "car"), 200, most=6)
    assert [(q.kind, q.name) for q in asked] == [
        ("object", "car"), ("object", "person"), ("lane", "-1"), ("scene", "weather"),
    ]  # fmt: skip
    assert asked[2].near == 4.0
    assert len(questions(look, {"objects": 0.4, "lanes": 0.5}, ("person", "car"), 200, most=1)) == 3
    assert all(answer(q, look) == pytest.approx(q.score) for q in asked)


def test_masks_see_half_of_the_picture_each_elsewhere():
    masks = [random_mask((96, 160), (4, 7), np.random.default_rng(seed)) for seed in range(200)]
    mean = np.mean(masks, 0) / 255
    assert mean.shape == (96, 160)
    assert mean.mean() == pytest.approx(0.5, abs=0.02)
    assert abs(mean - 0.5).max() < 0.15  # no pixel is seen more often than others
    assert masks[0].std() > 60


def test_occlusion_finds_the_only_place_that_matters():
    """The score is the contrast in a patch: all evidence must be there, and blur there must cost the answer."""
    picture = np.random.default_rng(0).integers(0, 256, (96, 160, 3), np.uint8)

    def look(image: np.ndarray) -> Observations:
        return seen([[20, 10, 60, 50]], [min(float(image[10:50, 20:60].std()) / 100, 1.0)], [2])

    (found,) = occlusion_maps(look, picture, [CAR], count=300, cells=(5, 8))
    v, u = np.unravel_index(found.argmax(), found.shape)
    assert 10 <= v < 50
    assert 20 <= u < 60
    assert inside(CAR, found) > 0.45  # it covers a tenth of the picture
    left, elsewhere = left_without(look, picture, CAR, found)
    assert left < 0.5 * elsewhere
    assert occlusion_maps(look, picture, [], count=10).shape == (0, 96, 160)


def test_what_speaks_against_is_negative():
    picture = np.random.default_rng(0).integers(0, 256, (96, 160, 3), np.uint8)

    def look(image: np.ndarray) -> Observations:
        return seen([[20, 10, 60, 50]], [max(1 - float(image[:, 80:].std()) / 100, 0.0)], [2])

    (found,) = occlusion_maps(look, picture, [CAR], count=200, cells=(5, 8))
    assert found[:, 90:].mean() < -3 * abs(found[:, :70].mean())


@pytest.fixture(scope="module")
def net(drawn_targets) -> PerceptionNet:
    torch.manual_seed(0)
    net = PerceptionNet(of_size("t")).train()
    with torch.no_grad():
        for _ in range(3):
            net(drawn_targets["images"])
        for layer in (net.heads["lanes"].row, net.heads["lanes"].existence):
            layer.bias += 3  # it says that all its lines exist
    return net.eval()


def asked_of(net: PerceptionNet, picture: np.ndarray) -> list[Question]:
    look = of_network(net, picture.shape[:2])
    return questions(look(picture), {"objects": 0.0, "lanes": 0.0}, look.spec.classes, picture.shape[1], most=2)


def test_gradients_ask_the_outputs_that_made_the_answer(net, drawn_batch):
    picture = drawn_batch["images"][0].numpy()
    asked, images = asked_of(net, picture), drawn_batch["images"][:1].float()
    assert {question.kind for question in asked} == {"object", "lane", "scene"}
    for question in asked:
        value = said(net, question, picture.shape[:2])(images)
        shares = {"object": torch.sigmoid, "lane": torch.sigmoid, "scene": torch.exp}
        assert float(shares[question.kind](value)) == pytest.approx(question.score, abs=2e-3), question.title


def test_a_gradient_map_is_activation_times_gradient(net, drawn_batch, monkeypatch):
    """For one stage, against autograd by hand, up to the scale of a picture."""
    picture = drawn_batch["images"][0].numpy()
    question = asked_of(net, picture)[-1]
    monkeypatch.setattr(gradients, "STAGES", (2,))
    (found,) = gradient_maps(net, picture, [question])
    kept: list[torch.Tensor] = []
    hook = net.backbone.stages[2].register_forward_hook(lambda module, args, output: kept.append(output))
    value = said(net, question, picture.shape[:2])(drawn_batch["images"][:1].float())
    hook.remove()
    (gradient,) = torch.autograd.grad(value.sum(), kept)
    wanted = (gradient * kept[0]).sum(1, keepdim=True).detach()
    wanted = torch.nn.functional.interpolate(wanted / wanted.abs().max(), (64, 128), mode="bilinear")[0, 0]
    np.testing.assert_allclose(found, wanted.numpy(), atol=1e-5)


@pytest.fixture(scope="module")
def street() -> tuple[PerceptionNet, np.ndarray, list[Question], np.ndarray]:
    """The trained network on a frame of the film of the demo, and the maps of what it says."""
    if not TRAINED.is_file():
        pytest.skip("needs the shipped checkpoint")
    picture = cv2.imread(str(REPOSITORY / "docs/images/demo.jpg"))
    if picture is None:
        pytest.skip("needs docs/images/demo.jpg")
    net, _ = load_network(TRAINED)
    picture = of_network(net, (192, 320)).fitted(picture)
    look = of_network(net, (192, 320))
    asked = questions(look(picture), {"objects": 0.2, "lanes": 0.3}, look.spec.classes, 320, most=4)
    return net, picture, asked, gradient_maps(net, picture, asked)


def test_maps_of_a_network_that_has_learnt_nothing_are_others(street):
    """The model randomisation test of Adebayo et al. 2018: a map that survives it shows edges, not reasons."""
    net, picture, asked, maps = street
    blank = gradient_maps(with_random_weights(net), picture, asked)
    alike = [abs(likeness(one, other)) for one, other in zip(maps, blank)]
    assert len(asked) >= 4
    assert np.mean(alike) < 0.2
    assert max(alike) < 0.5


def test_maps_hardly_change_when_the_picture_hardly_does(street):
    """Without this a map of pure noise would pass the randomisation test."""
    net, picture, asked, maps = street
    brighter = cv2.convertScaleAbs(picture, alpha=1.02)
    alike = [likeness(one, other) for one, other in zip(maps, gradient_maps(net, brighter, asked))]
    assert np.mean(alike) > 0.7


def test_different_questions_have_different_answers(street):
    _, _, asked, maps = street
    alike = [likeness(maps[i], maps[j]) for i in range(len(asked)) for j in range(i)]
    assert np.mean(alike) < 0.5


@pytest.mark.parametrize(("sign", "wanted"), [(1, 1.0), (-1, -1.0)])
def test_likeness_is_a_rank_correlation(sign, wanted):
    one = np.kron(np.random.default_rng(0).random((8, 12)), np.ones((8, 8)))
    assert likeness(one, sign * one**3) == pytest.approx(wanted)
    assert likeness(one, np.random.default_rng(1).random((64, 96))) == pytest.approx(0, abs=0.3)
    assert likeness(one, np.zeros((64, 96))) == 0


def test_a_blur_leaves_the_surroundings_and_hides_the_thing():
    picture = np.full((96, 160, 3), 90, np.uint8)
    picture[40:44, 80:84] = 255
    assert blurred(picture).max() < 105
    assert blurred(picture).mean() == pytest.approx(picture.mean(), abs=0.6)


def test_the_panel_is_red_where_it_speaks_for_and_blue_against():
    evidence = np.zeros((96, 160), np.float32)
    evidence[:, :40], evidence[:, 120:] = 1.0, -1.0
    out = panel(np.full((96, 160, 3), 100, np.uint8), DAY, evidence).astype(int)[40:]
    assert (out[:, 10, 2] > out[:, 10, 0] + 50).all()
    assert (out[:, 150, 0] > out[:, 150, 2] + 50).all()
    assert (out[:, 80] == 100).all()


@pytest.mark.parametrize("method", ["gradients", "occlusion"])
def test_the_command_writes_a_sheet_per_picture_and_figures(method, net, drawn_folder, tmp_path):
    from dataclasses import asdict

    from perception_models.training import checkpoint
    from perception_models.training.config import StageConfig, TrainConfig

    state = {"network": asdict(net.config), "config": asdict(TrainConfig(stages=[StageConfig(height=64, width=128)]))}
    checkpoint.save(tmp_path / "best.safetensors", {"average": net.state_dict()}, state)
    source = drawn_folder / "images"
    sheets = list(explain(tmp_path / "best.safetensors", source, tmp_path / "out", method, every=3, masks=10))
    assert [path.name for path, _ in sheets] == ["images_00000.png", "images_00003.png"]
    rows = json.loads((tmp_path / "out/explain.json").read_text())
    assert {row["picture"] for row in rows} == {path.name for path, _ in sheets}
    assert {"scene"} <= {row["kind"] for row in rows}
    assert all(("like_random_weights" in row) == (method == "gradients") for row in rows)
    for path, found in sheets:
        assert cv2.imread(str(path)).shape == (-(-len(found) // 3) * 64, 3 * 128, 3)


@pytest.mark.parametrize(("method", "message"), [("gradients", "checkpoint"), ("guess", "expected auto")])
def test_wishes_that_cannot_be_fulfilled_say_why(method, message, tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model/model.json").write_text("{}")
    with pytest.raises(ModelError, match=message):
        list(explain(tmp_path / "model", tmp_path, tmp_path / "out", method))
