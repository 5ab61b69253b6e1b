"""Which weights are the best so far, and when there is no hope of better ones."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from perception_models.network import PerceptionNet
from perception_models.training.config import TrainConfig
from perception_models.training.feed import validation_batches
from perception_models.training.validate import validate


class Watch:
    """Scores of a run so far.

    best   the highest score; None before the first
    worse  validations since then
    """

    def __init__(self, config: TrainConfig):
        self.config = config
        self.best: float | None = None
        self.worse = 0
        self.batches: list[dict[str, Tensor]] = []

    def prepare(self, to_device: Callable[[dict[str, Tensor]], dict[str, Tensor]]) -> None:
        """Read the validation pictures."""
        final = self.config.stages[-1]
        images = self.config.validate_images
        found = validation_batches(self.config.data, (final.height, final.width), images, 8)
        self.batches = [to_device(batch) for batch in found]

    def look(self, net: PerceptionNet, number: int) -> tuple[bool, dict[str, float]]:
        """Is the network after `number` steps the best so far? And its figures; without pictures the newest is."""
        figures = validate(net, self.batches, self.config.loss) if self.batches else {}
        score = figures.get("score", float(number))
        better = score > (float("-inf") if self.best is None else self.best)
        self.best, self.worse = (score, 0) if better else (self.best, self.worse + 1)
        return better, figures

    @property
    def hopeless(self) -> bool:
        """Worse for as long as `patience` allows?"""
        return 0 < self.config.patience <= self.worse
