"""A frozen backbone and the imitated network in the loader: the same training as without."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from test_imitation import detector

from perception_models.config import SettingsError, load_settings
from perception_models.network import PerceptionNet, of_size
from perception_models.training import checkpoint
from perception_models.training.config import ImitateConfig, PhaseConfig, TrainConfig
from perception_models.training.distill.frozen import (
    BACKBONE,
    IMITATED,
    FirstStages,
    FrozenNetworks,
    frozen_networks,
    frozen_stages,
    taken,
)
from perception_models.training.optimization.optimizer import depthwise_filters

pytest.importorskip("openvino", reason="needs OpenVINO: make setup")
FROZEN = "phases=[{until: 1.0, frozen: [backbone]}]"
PARTLY = "phases=[{until: 1.0, frozen: [backbone.stem, backbone.stages.0, backbone.stages.1], frozen_filters: true}]"
RUN = [
    "network={size: t}", "stages=[{views: 8, height: 64, width: 128, batch: 4}]", "data.val=[]", "precision=32-true",
    "validate_every=0", "picture_every=0", "log_every=1", "data.cache=null", "accelerator=cpu", FROZEN,
]  # fmt: skip


TRAIN = """
import sys
from pathlib import Path
from perception_models.config import load_settings
from perception_models.training.config import TrainConfig
from perception_models.training.train import train
train(load_settings(TrainConfig, None, sys.argv[2:]), Path(sys.argv[1]))
"""


def words(folder: Path, *others: str) -> list[str]:
    return [*RUN, f"data.train=[{{kind: labelled, path: {folder}}}]", *others]


@pytest.mark.parametrize(("backbone", "count"), [("residual", 4), ("efficientnet_lite0", 4), ("efficientnet_lite0", 2)])
def test_maps_are_those_of_the_networks(tmp_path, backbone: str, count: int):
    torch.manual_seed(0)
    net = PerceptionNet(of_size("t", backbone=backbone)).eval()
    imitate = ImitateConfig(str(detector(tmp_path / "detector.onnx")), ["fine", "coarse"])
    networks = FrozenNetworks(FirstStages(net, count), imitate, bf16=False)
    images = torch.randint(0, 256, (2, 64, 96, 3), dtype=torch.uint8)
    batch = networks({"images": images, "classes": torch.zeros(2)})
    with torch.no_grad():
        wanted = net.backbone(images.permute(0, 3, 1, 2).float() * net.input_scale)
    assert [tuple(each.shape) for each in taken(batch, IMITATED)] == [(2, 5, 8, 12), (2, 3, 4, 6)]
    first = taken(batch, BACKBONE)
    with torch.no_grad():
        pairs = [*zip(first, wanted[:count], strict=True), *zip(net.pyramid_from(first), net.neck(wanted), strict=True)]
    for mine, its in pairs:
        torch.testing.assert_close(mine, its, atol=1e-3 * float(its.std()), rtol=1e-3)
    assert set(batch) == {"images", "classes"}


@pytest.mark.parametrize("phases", [FROZEN, PARTLY], ids=["frozen", "partly"])
def test_training_is_the_same_as_without(drawn_folder, tmp_path, phases: str):
    imitate = [f"imitate.network={detector(tmp_path / 'detector.onnx')}", "imitate.maps=[fine, coarse]"]
    runs = []
    for asked, workers in (("true", 1), ("false", 0)):
        settings = words(drawn_folder, *imitate, phases, f"frozen_in_loader={asked}", f"data.workers={workers}")
        # In a process of its own: one that has used OpenVINO must not fork.
        subprocess.run([sys.executable, "-c", TRAIN, str(tmp_path / asked), *settings], check=True, timeout=300)
        runs.append(checkpoint.load(tmp_path / asked / "best.safetensors")[0]["average"])
    torch.manual_seed(0)
    start = PerceptionNet(of_size("t")).state_dict()
    assert any(not torch.equal(tensor, start[name]) for name, tensor in runs[0].items() if name.startswith("neck"))
    for name, tensor in runs[0].items():
        torch.testing.assert_close(tensor, runs[1][name], atol=2e-4, rtol=1e-3)


@pytest.mark.parametrize(
    ("phases", "count"),
    [
        ([], 0),
        ([PhaseConfig(1.0, frozen=["backbone"])], 4),
        ([PhaseConfig(0.5, frozen=["backbone"])], 0),  # everything learns after half of the views
        ([PhaseConfig(0.5, frozen=["backbone"]), PhaseConfig(1.0, frozen=["backbone.stem", "backbone.stages.0"])], 1),
        ([PhaseConfig(1.0, frozen=["backbone.stages.0"])], 0),
        ([PhaseConfig(1.0, frozen=["backbone.stem", "backbone.stages.0", "backbone.stages.2"])], 1),
    ],
)
def test_the_first_stages_that_never_learn_are_counted(phases: list[PhaseConfig], count: int):
    assert frozen_stages(phases, 4) == count


@pytest.mark.parametrize(
    ("changes", "told"),
    [(["phases=[]"], "at least phases="), (["adversarial.share=0.5"], "adversarial.share=0")],
)
def test_what_would_learn_is_refused(drawn_folder, changes: list[str], told: str):
    settings = load_settings(TrainConfig, None, words(drawn_folder, "frozen_in_loader=true", *changes))
    with pytest.raises(SettingsError, match=told):
        frozen_networks(settings, PerceptionNet(of_size("t")), bf16=False)


def test_filters_of_depthwise_convolutions_can_stay(drawn_folder, tmp_path):
    network = "network={size: t, backbone: efficientnet_lite0}"
    settings = words(drawn_folder, network, "phases=[{until: 1.0, frozen: [backbone.stem], frozen_filters: true}]")
    subprocess.run([sys.executable, "-c", TRAIN, str(tmp_path / "run"), *settings], check=True, timeout=300)
    torch.manual_seed(0)
    net = PerceptionNet(of_size("t", backbone="efficientnet_lite0"))
    before, after = net.state_dict(), checkpoint.load(tmp_path / "run/best.safetensors")[0]["average"]
    changed = {name for name, _ in net.named_parameters() if not torch.equal(before[name], after[name])}
    stem = {name for name, _ in net.backbone.stem.named_parameters(prefix="backbone.stem")}
    frozen = stem | set(depthwise_filters(net))
    assert len(depthwise_filters(net)) >= 15
    assert not changed & frozen
    assert {name for name, _ in net.backbone.named_parameters(prefix="backbone")} - frozen <= changed
