"""From a configuration to what is trained: the network, and what turns a batch into losses."""

from __future__ import annotations

from pathlib import Path

import torch

from perception_models.config import SettingsError
from perception_models.losses.balancing import Balancer
from perception_models.network import PerceptionNet, of_size
from perception_models.training import checkpoint
from perception_models.training.config import TrainConfig
from perception_models.training.pretrain import MaskedLearner
from perception_models.training.step import Learner, check_prefixes


def build_network(config: TrainConfig) -> PerceptionNet:
    """The network of a configuration, with transferred weights where it asks for them."""
    try:
        net = PerceptionNet(of_size(**config.network))
    except TypeError as error:
        raise SettingsError(f"network: {error}; see NetworkConfig for the names") from error
    check_prefixes(net, _prefixes(config))
    if config.transfer.weights:
        checkpoint.transfer(net, config.transfer.weights, config.transfer.replace)
    return net


def _prefixes(config: TrainConfig) -> dict[str, list[str]]:
    """All beginnings of parameter names of a configuration, by setting."""
    frozen = [prefix for phase in config.phases for prefix in phase.frozen]
    scales = [] if config.pretrain.hidden else list(config.optimizer.scales)  # what fills in has names of its own
    return {"transfer.replace": config.transfer.replace, "phases.frozen": frozen, "optimizer.scales": scales}


def build_learner(config: TrainConfig, net: PerceptionNet) -> Learner | MaskedLearner:
    """What turns a batch into losses: labels and perhaps a teacher, or the picture itself."""
    if not config.pretrain.hidden:
        return Learner(net, Balancer(config.balance), config.loss, _teacher(config, net))
    if not 0 < config.pretrain.hidden < 1:
        raise SettingsError(f"pretrain.hidden={config.pretrain.hidden}: expected a share above 0 and below 1")
    return MaskedLearner(net, config.pretrain.hidden)


def _teacher(config: TrainConfig, net: PerceptionNet) -> torch.nn.Module | None:
    if not config.distill.teacher:
        return None
    from perception_models.training.distill import Teacher

    return Teacher(config.distill, checkpoint.load_network(Path(config.distill.teacher))[0], net)
