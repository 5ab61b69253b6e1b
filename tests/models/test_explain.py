"""Explanations: scores of targets, evidence maps with a known answer, and the sanity checks of maps."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from camera_perception.core.errors import ModelError
from camera_perception.core.model_spec import InputSpec
from camera_perception.core.types import Detections, LaneLine, Observations, SceneAttribute, Task
from perception_models.evaluation.explain import gradients
from perception_models.evaluation.explain.gradients import gradient_maps, target_output, with_random_weights
from perception_models.evaluation.explain.model import content, fit_to_input, network_predictor
from perception_models.evaluation.explain.occlusion import blurred, occlusion_maps, random_mask
from perception_models.evaluation.explain.run import explain
from perception_models.evaluation.explain.sanity import fraction_inside, rank_correlation, scores_after_deletion
from perception_models.evaluation.explain.sheet import panel, sheet
from perception_models.evaluation.explain.target import Target, find_targets, target_score
from perception_models.network import PerceptionNet, of_size
from perception_models.training.checkpoint import load_network

REPOSITORY = Path(__file__).resolve().parents[2]
TRAINED = REPOSITORY / "perception_models/zoo/checkpoints/demo.safetensors"
BOX = np.array([[20, 10], [60, 50]], np.float32)
CAR = Target("object", "car", 0.8, "car", 2, BOX)
LEFT = Target("lane", "line", 0.9, "-1", "", np.array([[50, 60], [60, 40], [70, 20]], np.float32), 4.0)
DAY = Target("scene", "day", 0.7, "timeofday", "daytime", np.zeros((0, 2), np.float32))


def observe(boxes=(), scores=(), classes=(), lanes=(), scene=()) -> Observations:
    rows = np.array(boxes, np.float32).reshape(-1, 4), np.array(scores, np.float32), np.array(classes, np.int32)
    return Observations(
        Task.OBJECTS, Detections(*rows, np.zeros((len(scores), 0), np.float32)), tuple(lanes), scene=tuple(scene)
    )


def line(shift: float, position: int, score: float = 0.9, rows: int = 3) -> LaneLine:
    return LaneLine((LEFT.shape + (shift, 0)).astype(np.float32)[:rows], score, position)


@pytest.mark.parametrize(
    ("target", "observations", "wanted"),
    [
        (CAR, observe(), 0.0),
        (CAR, observe([BOX.ravel()], [0.8], [2]), 0.8),
        (CAR, observe([BOX.ravel()], [0.8], [3]), 0.0),  # another object
        (CAR, observe([[20, 10, 60, 30]], [0.8], [2]), 0.4),
        (CAR, observe([[20, 10, 60, 30], [100, 0, 120, 20]], [0.8, 0.99], [2, 2]), 0.4),
        (LEFT, observe(), 0.0),
        (LEFT, observe(lanes=[line(0, -1)]), 0.9),
        (LEFT, observe(lanes=[line(0, 1)]), 0.0),
        (LEFT, observe(lanes=[line(4, -1)]), 0.9 * np.exp(-1)),
        (LEFT, observe(lanes=[line(0, -1, rows=2)]), 0.6),  # a third of the rows is missing
        (DAY, observe(scene=[SceneAttribute("timeofday", "daytime", 0.6)]), 0.6),
        (DAY, observe(scene=[SceneAttribute("timeofday", "night", 0.6)]), 0.0),
    ],
)
def test_the_score_of_a_target_is_score_times_agreement(target, observations, wanted):
    assert target_score(target, observations) == pytest.approx(wanted, abs=1e-5)


def test_targets_are_the_predictions_above_the_thresholds():
    observations = observe(
        [[0, 0, 9, 9], [5, 5, 20, 20], [1, 1, 3, 3]], [0.5, 0.9, 0.1], [0, 1, 0],
        [line(0, -1), line(0, 1, score=0.3)], [SceneAttribute("weather", "clear", 0.2)],
    )  # fmt: skip
    targets = find_targets(observations, {"objects": 0.4, "lanes": 0.5}, ("person", "car"), 200, limit=6)
    assert [(target.type, target.name) for target in targets] == [
        ("object", "car"), ("object", "person"), ("lane", "-1"), ("scene", "weather"),
    ]  # fmt: skip
    assert targets[2].tolerance == 4.0
    assert len(find_targets(observations, {"objects": 0.4, "lanes": 0.5}, ("person", "car"), 200, limit=1)) == 3
    assert all(target_score(target, observations) == pytest.approx(target.score) for target in targets)


def test_every_mask_shows_another_half_of_the_image():
    masks = [random_mask((96, 160), (4, 7), np.random.default_rng(seed)) for seed in range(200)]
    mean = np.mean(masks, 0) / 255
    assert mean.shape == (96, 160)
    assert mean.mean() == pytest.approx(0.5, abs=0.02)
    assert abs(mean - 0.5).max() < 0.15  # no pixel is visible more often than others
    assert masks[0].std() > 60


def test_occlusion_finds_the_only_region_that_matters():
    """The score is the contrast in a patch: the evidence must be there, and blur there must lower the score."""
    image = np.random.default_rng(0).integers(0, 256, (96, 160, 3), np.uint8)

    def predict(image: np.ndarray) -> Observations:
        return observe([[20, 10, 60, 50]], [min(float(image[10:50, 20:60].std()) / 100, 1.0)], [2])

    (found,) = occlusion_maps(predict, image, [CAR], count=300, cells=(5, 8))
    v, u = np.unravel_index(found.argmax(), found.shape)
    assert 10 <= v < 50
    assert 20 <= u < 60
    assert fraction_inside(CAR, found) > 0.45  # it covers a tenth of the image
    left, elsewhere = scores_after_deletion(predict, image, CAR, found)
    assert left < 0.5 * elsewhere
    assert occlusion_maps(predict, image, [], count=10).shape == (0, 96, 160)


def test_evidence_against_the_target_is_negative():
    image = np.random.default_rng(0).integers(0, 256, (96, 160, 3), np.uint8)

    def predict(image: np.ndarray) -> Observations:
        return observe([[20, 10, 60, 50]], [max(1 - float(image[:, 80:].std()) / 100, 0.0)], [2])

    (found,) = occlusion_maps(predict, image, [CAR], count=200, cells=(5, 8))
    assert found[:, 90:].mean() < -3 * abs(found[:, :70].mean())


@pytest.fixture(scope="module")
def net(drawn_targets) -> PerceptionNet:
    torch.manual_seed(0)
    net = PerceptionNet(of_size("t")).train()
    with torch.no_grad():
        for _ in range(3):
            net(drawn_targets["images"])
        for layer in (net.heads["lanes"].row, net.heads["lanes"].existence):
            layer.bias += 3  # predict that all lines exist
    return net.eval()


def targets_in(net: PerceptionNet, image: np.ndarray) -> list[Target]:
    predict = network_predictor(net, image.shape[:2])
    return find_targets(predict(image), {"objects": 0.0, "lanes": 0.0}, predict.spec.classes, image.shape[1], limit=2)


def test_gradients_start_at_the_outputs_behind_the_prediction(net, drawn_batch):
    image = drawn_batch["images"][0].numpy()
    targets, images = targets_in(net, image), drawn_batch["images"][:1].float()
    assert {target.type for target in targets} == {"object", "lane", "scene"}
    for target in targets:
        value = target_output(net, target, image.shape[:2])(images)
        activation = {"object": torch.sigmoid, "lane": torch.sigmoid, "scene": torch.exp}[target.type]
        assert float(activation(value)) == pytest.approx(target.score, abs=2e-3), target.title


def test_a_gradient_map_is_activation_times_gradient(net, drawn_batch, monkeypatch):
    """For one stage, against autograd by hand, up to the scale of an image."""
    image = drawn_batch["images"][0].numpy()
    target = targets_in(net, image)[-1]
    monkeypatch.setattr(gradients, "STAGES", (2,))
    (found,) = gradient_maps(net, image, [target])
    kept: list[torch.Tensor] = []
    hook = net.backbone.stages[2].register_forward_hook(lambda module, args, output: kept.append(output))
    value = target_output(net, target, image.shape[:2])(drawn_batch["images"][:1].float())
    hook.remove()
    (gradient,) = torch.autograd.grad(value.sum(), kept)
    wanted = (gradient * kept[0]).sum(1, keepdim=True).detach()
    wanted = torch.nn.functional.interpolate(wanted / wanted.abs().max(), (64, 128), mode="bilinear")[0, 0]
    np.testing.assert_allclose(found, wanted.numpy(), atol=1e-5)


@pytest.fixture(scope="module")
def street() -> tuple[PerceptionNet, np.ndarray, list[Target], np.ndarray]:
    """The trained network on a frame of the demo video, its predictions and their maps."""
    if not TRAINED.is_file():
        pytest.skip("needs the shipped checkpoint")
    image = cv2.imread(str(REPOSITORY / "docs/images/demo.jpg"))
    if image is None:
        pytest.skip("needs docs/images/demo.jpg")
    net, _ = load_network(TRAINED)
    predict = network_predictor(net, (192, 320))
    image = fit_to_input(image, predict.spec.input)
    targets = find_targets(predict(image), {"objects": 0.2, "lanes": 0.3}, predict.spec.classes, 320, limit=4)
    return net, image, targets, gradient_maps(net, image, targets)


def test_maps_of_a_network_with_random_weights_differ(street):
    """The model randomisation test of Adebayo et al. 2018: a map that survives it shows edges, not reasons."""
    net, image, targets, maps = street
    random = gradient_maps(with_random_weights(net), image, targets)
    alike = [abs(rank_correlation(one, other)) for one, other in zip(maps, random)]
    assert len(targets) >= 4
    assert np.mean(alike) < 0.2
    assert max(alike) < 0.5


def test_maps_hardly_change_if_the_image_hardly_does(street):
    """Without this a map of pure noise would pass the randomisation test."""
    net, image, targets, maps = street
    brighter = cv2.convertScaleAbs(image, alpha=1.02)
    alike = [rank_correlation(one, other) for one, other in zip(maps, gradient_maps(net, brighter, targets))]
    assert np.mean(alike) > 0.7


def test_different_targets_have_different_maps(street):
    _, _, targets, maps = street
    alike = [rank_correlation(maps[i], maps[j]) for i in range(len(targets)) for j in range(i)]
    assert np.mean(alike) < 0.5


@pytest.mark.parametrize(("sign", "wanted"), [(1, 1.0), (-1, -1.0)])
def test_rank_correlation_ignores_monotonous_scaling(sign, wanted):
    one = np.kron(np.random.default_rng(0).random((8, 12)), np.ones((8, 8)))
    assert rank_correlation(one, sign * one**3) == pytest.approx(wanted)
    assert rank_correlation(one, np.random.default_rng(1).random((64, 96))) == pytest.approx(0, abs=0.3)
    assert rank_correlation(one, np.zeros((64, 96))) == 0


def test_blurring_hides_an_object_and_keeps_its_surroundings():
    image = np.full((96, 160, 3), 90, np.uint8)
    image[40:44, 80:84] = 255
    assert blurred(image).max() < 105
    assert blurred(image).mean() == pytest.approx(image.mean(), abs=0.6)


def test_the_panel_is_red_for_evidence_and_blue_for_evidence_against():
    evidence = np.zeros((96, 160), np.float32)
    evidence[:, :40], evidence[:, 120:] = 1.0, -1.0
    out = panel(np.full((96, 160, 3), 100, np.uint8), DAY, evidence).astype(int)[40:]
    assert (out[:, 10, 2] > out[:, 10, 0] + 50).all()
    assert (out[:, 150, 0] > out[:, 150, 2] + 50).all()
    assert (out[:, 80] == 100).all()


def test_a_sheet_shows_no_padding_of_the_letterbox():
    spec = InputSpec("images", 160, 96)
    image = np.full((40, 160, 3), 200, np.uint8)  # wider than the input: grey above and below
    fitted = fit_to_input(image, spec)
    rows, columns = content(image, spec)
    assert (fitted[rows, columns] == 200).all()
    assert fitted.size > fitted[rows, columns].size
    evidence = np.zeros((1, 96, 160), np.float32)
    drawn = sheet(fitted, [DAY], evidence, content(image, spec))
    assert drawn.shape == (40, 3 * 160, 3)
    assert (drawn[-5:, :160] == 200).all()


@pytest.mark.parametrize("method", ["gradients", "occlusion"])
def test_the_command_writes_a_sheet_per_image_and_explain_json(method, net, drawn_folder, tmp_path):
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
def test_unsupported_methods_are_explained(method, message, tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model/model.json").write_text("{}")
    with pytest.raises(ModelError, match=message):
        list(explain(tmp_path / "model", tmp_path, tmp_path / "out", method))
