"""Adversarial attacks: bounded changes, and a loss that grows with strength and steps."""

from __future__ import annotations

import pytest
import torch

from perception_models.losses import LossConfig, task_losses
from perception_models.losses.adversarial import AdversarialConfig, attacked, harden
from perception_models.network import PerceptionNet, of_size


@pytest.fixture(scope="module")
def net(drawn_targets) -> PerceptionNet:
    """Without objects: their targets depend on the predictions, so their loss need not grow with the error."""
    torch.manual_seed(0)
    net = PerceptionNet(of_size("t", tasks=["drivable", "semantic", "lanes", "scene"])).train()
    for _ in range(3):
        net(drawn_targets["images"])
    return net.eval().requires_grad_(False)


def cost(net: PerceptionNet, batch: dict, images: torch.Tensor) -> float:
    return float(sum(task_losses(net(images), batch, LossConfig(), net.config.strides).values()))


@pytest.mark.parametrize("steps", [1, 4])
@pytest.mark.parametrize("strength", [1.0, 2.0, 7.0])
def test_no_channel_changes_more_than_allowed(strength, steps, net, drawn_batch):
    images = attacked(net, drawn_batch, strength, steps)
    off = images.int() - drawn_batch["images"].int()
    assert images.dtype == torch.uint8
    assert off.abs().max() == strength
    assert (off.abs() == strength).float().mean() > 0.3


def test_stronger_attacks_and_more_steps_raise_the_loss(net, drawn_batch):
    clean, weak, strong = (cost(net, drawn_batch, attacked(net, drawn_batch, s)) for s in (0.0, 1.0, 4.0))
    patient = cost(net, drawn_batch, attacked(net, drawn_batch, 4.0, steps=6))
    assert clean == pytest.approx(cost(net, drawn_batch, drawn_batch["images"]))
    assert clean < weak < strong < patient


def test_an_attack_raises_the_loss_more_than_noise_of_the_same_strength(net, drawn_batch):
    signs = torch.randint(0, 2, drawn_batch["images"].shape, generator=torch.Generator().manual_seed(0)) * 2 - 1
    noisy = (drawn_batch["images"].int() + 4 * signs).clamp(0, 255).to(torch.uint8)
    clean = cost(net, drawn_batch, drawn_batch["images"])
    by_noise = cost(net, drawn_batch, noisy) - clean
    by_attack = cost(net, drawn_batch, attacked(net, drawn_batch, 4.0)) - clean
    assert by_attack > 3 * abs(by_noise)


def test_training_attacks_a_share_of_each_batch_and_nothing_else(net, drawn_batch):
    state = {name: value.clone() for name, value in net.state_dict().items()}
    net.train()
    torch.manual_seed(5)
    hard = harden(net, drawn_batch, AdversarialConfig(share=0.5, strength=4))
    count = round(0.5 * len(drawn_batch["images"]))
    off = (hard["images"].int() - drawn_batch["images"].int()).abs()
    assert off[:count].max() == 4
    assert not off[count:].any()
    assert all(hard[name] is value for name, value in drawn_batch.items() if name != "images")
    assert net.training
    assert all(torch.equal(value, state[name]) for name, value in net.state_dict().items())
    net.eval()
    assert cost(net, drawn_batch, hard["images"]) > cost(net, drawn_batch, drawn_batch["images"])


def test_without_a_share_the_batch_stays_as_it_is(net, drawn_batch):
    assert harden(net, drawn_batch, AdversarialConfig()) is drawn_batch
