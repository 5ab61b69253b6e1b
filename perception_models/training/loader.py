"""Training batches by view number: the views of a device are a fixed sequence, so a run can resume anywhere in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import cv2
import numpy as np
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from perception_models.config import SettingsError
from perception_models.data import collate
from perception_models.data.augment import NONE, AugmentConfig
from perception_models.data.augment.fourier import FourierAdapter, FourierConfig
from perception_models.data.augment.paste import PasteConfig, Paster
from perception_models.data.mix import Key, Mix, Sampler, TargetDataset, open_mix
from perception_models.data.readers.traffic_lights import LightCrops
from perception_models.training.config import DataConfig
from perception_models.training.optimization.schedule import Step

Frozen = Callable[[dict[str, Tensor]], dict[str, Tensor]]


def open_data(config: DataConfig, entries: list[dict[str, Any]]) -> Mix:
    return open_mix(entries, config.cache, (config.cache_height, config.cache_width))


def augmentation(config: DataConfig) -> AugmentConfig:
    values = _with_tuples(config.augment)
    try:
        if values.get("paste"):
            values["paste"] = PasteConfig(**_with_tuples(values["paste"]))
        if values.get("fourier"):
            values["fourier"] = FourierConfig(**_with_tuples(values["fourier"]))
        return AugmentConfig(**values)
    except TypeError as error:
        raise SettingsError(f"data.augment: {error}; see AugmentConfig for the names") from error


def _with_tuples(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}


class TrainingBatches:
    """Augmented training batches of one device."""

    def __init__(self, config: DataConfig, seed: int, rank: int, world: int):
        cv2.setNumThreads(0)  # training processes use all cores; OpenCV threads would only compete
        self.mix = open_data(config, config.train)
        self.sampler = Sampler(self.mix, config.epoch or len(self.mix), seed, rank, world)
        self.augment, self.seed = augmentation(config), seed
        self.lights = LightCrops(config.lights, fold="train") if config.lights else None
        self.paster = Paster(self.augment.paste) if self.augment.paste else None
        self.adapter = FourierAdapter(self.augment.fourier) if self.augment.fourier else None
        self._keys: tuple[int, np.ndarray] = (-1, np.empty((0, 2)))  # epoch, keys

    def batch(self, first: int, count: int, size: tuple[int, int]) -> dict[str, Tensor]:
        """Views first ... first + count - 1 of this device, as targets for images of `size` (height, width)."""
        dataset = TargetDataset(self.mix, size, self.augment, self.seed, self.lights, self.paster, self.adapter)
        return collate([dataset[self._key(number)] for number in range(first, first + count)])

    def _key(self, number: int) -> Key:
        epoch, position = divmod(number, len(self.sampler))
        if self._keys[0] != epoch:
            self._keys = epoch, self.sampler.of_epoch(epoch)
        part, index = self._keys[1][position].tolist()
        return epoch, position * self.sampler.world + self.sampler.rank, part, index


class StepDataset(Dataset[dict[str, Tensor]]):
    """One batch per step, so that loader processes can prefetch them in order.

    frozen  adds what networks that do not learn see on its images, or None
    """

    def __init__(self, batches: TrainingBatches, steps: list[Step], frozen: Frozen | None = None):
        self.batches, self.steps, self.frozen = batches, steps, frozen

    def __len__(self) -> int:
        return len(self.steps)

    def __getitem__(self, row: int) -> dict[str, Tensor]:
        step = self.steps[row]
        batch = self.batches.batch(step.views_before // self.batches.sampler.world, step.batch, step.size)
        return self.frozen(batch) if self.frozen else batch


def loader(
    batches: TrainingBatches, steps: list[Step], workers: int, frozen: Frozen | None = None
) -> DataLoader[dict[str, Tensor]]:
    """The batches of these steps in order, loaded by `workers` processes, or by this one if 0."""
    return DataLoader(StepDataset(batches, steps, frozen), batch_size=None, num_workers=workers)


def validation_batches(config: DataConfig, size: tuple[int, int], images: int, batch: int) -> list[dict[str, Tensor]]:
    """At most `images` images without augmentation, evenly spread over the validation sets; empty without such sets."""
    if not config.val:
        return []
    mix = open_data(config, config.val)
    rows = [(part, index) for part, samples in enumerate(mix.parts) for index in range(len(samples))]
    rows = [rows[i * len(rows) // min(images, len(rows))] for i in range(min(images, len(rows)))]
    dataset = TargetDataset(mix, size, NONE)
    views = [dataset[(0, 0, part, index)] for part, index in rows]
    return [collate(views[i : i + batch]) for i in range(0, len(views), batch)]
