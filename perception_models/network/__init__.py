"""The multi-task network in sizes n, s and m."""

from perception_models.network.blocks import fuse
from perception_models.network.config import NetworkConfig, of_size
from perception_models.network.multitask import PerceptionNet

__all__ = ["NetworkConfig", "PerceptionNet", "fuse", "of_size"]
