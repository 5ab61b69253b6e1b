"""What the training loop draws from: an order that can be resumed, and items that depend on their key alone."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from perception_models.data.augment import NONE, AugmentConfig, augment
from perception_models.data.readers.traffic_lights import LightCrops
from perception_models.data.registry import Mix
from perception_models.data.sample import Sample
from perception_models.data.targets import targets

Key = tuple[int, int, int, int]  # epoch, position in the epoch, part of the mix, index in the part


class Order:
    """Endless keys of one rank, epoch by epoch; every image of a part is seen before any is seen again.

    epoch, position  where the next key comes from: all the state there is (position counts this rank's keys)
    """

    def __init__(self, mix: Mix, epoch_length: int, seed: int = 0, rank: int = 0, world: int = 1):
        self.sizes = [len(part) for part in mix.parts]
        self.counts = shares(np.array(mix.weights), epoch_length - epoch_length % world)
        self.seed, self.rank, self.world = seed, rank, world
        self.epoch = self.position = 0

    def __len__(self) -> int:
        """Keys of one epoch on this rank."""
        return int(self.counts.sum()) // self.world

    def __iter__(self) -> Iterator[Key]:
        """Continue at (epoch, position) and stop at the end of the epoch, ready for the next one."""
        keys = self.of_epoch(self.epoch)
        while self.position < len(keys):
            part, index = keys[self.position].tolist()
            self.position += 1
            yield self.epoch, (self.position - 1) * self.world + self.rank, part, index
        self.epoch, self.position = self.epoch + 1, 0

    def of_epoch(self, epoch: int) -> np.ndarray:
        """(n, 2) int64 part and index of each key of this rank."""
        drawn = [self._draw(part, epoch) for part in range(len(self.sizes))]
        return np.random.default_rng((self.seed, epoch)).permutation(np.concatenate(drawn))[self.rank :: self.world]

    def _draw(self, part: int, epoch: int) -> np.ndarray:
        """The epoch's stretch of an endless row of shuffled copies of the part."""
        numbers = np.arange(epoch * self.counts[part], (epoch + 1) * self.counts[part])
        rounds, places = np.divmod(numbers, self.sizes[part])
        index = np.zeros(len(numbers), np.int64)
        for turn in np.unique(rounds):
            shuffled = np.random.default_rng((self.seed, part, int(turn), 1)).permutation(self.sizes[part])
            index[rounds == turn] = shuffled[places[rounds == turn]]
        return np.stack([np.full(len(index), part), index], 1)


def shares(weights: np.ndarray, total: int) -> np.ndarray:
    """Whole numbers proportional to weights that sum to total (largest remainders)."""
    exact = weights / weights.sum() * total
    counts = np.floor(exact).astype(np.int64)
    counts[np.argsort(counts - exact, kind="stable")[: total - counts.sum()]] += 1
    return counts


class Items:
    """Targets by key: the same key gives the same arrays on every machine, whatever was asked before."""

    def __init__(
        self,
        mix: Mix,
        size: tuple[int, int],
        config: AugmentConfig = NONE,
        seed: int = 0,
        lights: LightCrops | None = None,
    ):
        self.mix, self.size, self.config, self.seed, self.lights = mix, size, config, seed, lights

    def __len__(self) -> int:
        return len(self.mix)

    def __getitem__(self, key: Key) -> dict[str, np.ndarray]:
        return targets(self.sample(key), self.size)

    def sample(self, key: Key) -> Sample:
        """The augmented sample of a key, of the network's input size."""
        epoch, position, part, index = key
        rng = np.random.default_rng((self.seed, epoch, position))
        samples = self.mix.parts[part]
        return augment(
            samples[index],
            self.size,
            rng,
            self.config,
            lights=self.lights,
            partner=lambda rng: samples[int(rng.integers(len(samples)))],
        )
