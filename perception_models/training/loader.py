"""Batches by number: the views a device sees are a fixed row, so a resumed run needs only the place in it."""

from __future__ import annotations

from typing import Any

import cv2
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from perception_models.config import SettingsError
from perception_models.data import collate
from perception_models.data.augment import NONE, AugmentConfig
from perception_models.data.readers.traffic_lights import LightCrops
from perception_models.data.registry import Mix, open_mix
from perception_models.data.sampler import Items, Key, Order
from perception_models.training.config import DataConfig
from perception_models.training.step import Step


def open_data(config: DataConfig, entries: list[dict[str, Any]]) -> Mix:
    return open_mix(entries, config.cache, (config.cache_height, config.cache_width))


def augmentation(config: DataConfig) -> AugmentConfig:
    try:
        return AugmentConfig(**{name: tuple(v) if isinstance(v, list) else v for name, v in config.augment.items()})
    except TypeError as error:
        raise SettingsError(f"data.augment: {error}; see AugmentConfig for the names") from error


class Feed:
    """Augmented training batches of one device."""

    def __init__(self, config: DataConfig, seed: int, rank: int, world: int):
        cv2.setNumThreads(0)  # training processes fill the cores; OpenCV's own threads would only make them wait
        self.mix = open_data(config, config.train)
        self.order = Order(self.mix, config.epoch or len(self.mix), seed, rank, world)
        self.augment, self.seed = augmentation(config), seed
        self.lights = LightCrops(config.lights, fold="train") if config.lights else None
        self._keys: tuple[int, Any] = (-1, None)

    def batch(self, first: int, count: int, size: tuple[int, int]) -> dict[str, Tensor]:
        """Views first ... first + count - 1 of this device, as targets for images of `size` (height, width)."""
        items = Items(self.mix, size, self.augment, self.seed, self.lights)
        return collate([items[self._key(number)] for number in range(first, first + count)])

    def _key(self, number: int) -> Key:
        epoch, position = divmod(number, len(self.order))
        if self._keys[0] != epoch:
            self._keys = epoch, self.order.of_epoch(epoch)
        part, index = self._keys[1][position].tolist()
        return epoch, position * self.order.world + self.order.rank, part, index


class StepBatches(Dataset[dict[str, Tensor]]):
    """One batch per step, so that loader processes can work ahead in the right order."""

    def __init__(self, feed: Feed, steps: list[Step]):
        self.feed, self.steps = feed, steps

    def __len__(self) -> int:
        return len(self.steps)

    def __getitem__(self, row: int) -> dict[str, Tensor]:
        step = self.steps[row]
        return self.feed.batch(step.seen // self.feed.order.world, step.batch, step.size)


def loader(feed: Feed, steps: list[Step], workers: int) -> DataLoader[dict[str, Tensor]]:
    """The batches of these steps in order, loaded by `workers` processes or, with 0, right here."""
    return DataLoader(StepBatches(feed, steps), batch_size=None, num_workers=workers)


def validation_batches(config: DataConfig, size: tuple[int, int], images: int, batch: int) -> list[dict[str, Tensor]]:
    """At most `images` unchanged views, evenly spread over the validation sets; empty without such sets."""
    if not config.val:
        return []
    mix = open_data(config, config.val)
    rows = [(part, index) for part, samples in enumerate(mix.parts) for index in range(len(samples))]
    rows = [rows[i * len(rows) // min(images, len(rows))] for i in range(min(images, len(rows)))]
    items = Items(mix, size, NONE)
    views = [items[(0, 0, part, index)] for part, index in rows]
    return [collate(views[i : i + batch]) for i in range(0, len(views), batch)]
