"""What training draws from: a weighted mix of data sets, the order of its samples, and their network targets."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from perception_models.data.augment import NONE, AugmentConfig, augment
from perception_models.data.augment.fourier import FourierAdapter
from perception_models.data.augment.paste import Paster
from perception_models.data.cache import Samples, Skipped, cached
from perception_models.data.files import DataError
from perception_models.data.labels import OBJECTS
from perception_models.data.readers.traffic_lights import LightCrops
from perception_models.data.registry import non_default_options, open_dataset
from perception_models.data.sample import Sample
from perception_models.data.targets import targets

LABELS = ("boxes", "lanes", "drivable", "semantic", "scene")
Key = tuple[int, int, int, int]  # epoch, position in the epoch, part of the mix, index in the part


@dataclass(frozen=True)
class Mix:
    """Data sets and their relative weights in an epoch."""

    parts: tuple[Samples, ...]
    weights: tuple[float, ...]

    def __len__(self) -> int:
        return sum(map(len, self.parts))

    def __getitem__(self, key: tuple[int, int]) -> Sample:
        part, index = key
        return self.parts[part][index]


def open_mix(
    entries: Sequence[Mapping[str, Any]], cache_dir: Path | str | None = None, cache_size: tuple[int, int] = (384, 640)
) -> Mix:
    """Data sets from a configuration; each entry has kind, path and, optionally, weight, rows, only, repeat, reader
    options.

    weight     relative to the other entries; default: its number of images
    rows       indices of the images to use, in any data set; default: all
    only       labels to keep, see LabelSubset
    repeat     draws images of rare objects more often, see Repeated
    cache_dir  where decoded copies of at most cache_size (height, width) are kept; None: read the files every time
    """
    if not entries:
        raise DataError("no data sets given: the list of training data is empty")
    parts, weights = zip(*(_open_entry(dict(entry), cache_dir, cache_size) for entry in entries))
    if min(weights) < 0 or sum(weights) <= 0:
        raise DataError(f"data weights {list(weights)}: expected none below 0 and at least one above 0")
    return Mix(parts, weights)


def _open_entry(entry: dict[str, Any], cache_dir: Path | str | None, size: tuple[int, int]) -> tuple[Samples, float]:
    text = repr(sorted(entry.items()))
    weight, rows, only, repeat = (entry.pop(name, None) for name in ("weight", "rows", "only", "repeat"))
    try:
        kind, path = entry.pop("kind"), entry.pop("path")
    except KeyError as error:
        raise DataError(f"data entry {text} has no {error}") from error
    samples = open_dataset(kind, path, **entry)
    if orphans := list(getattr(samples, "orphans", ())):
        logging.getLogger(__name__).warning("%s: %d labels without image, such as %s", path, len(orphans), orphans[0])
    weight = float(len(samples if rows is None else rows) if weight is None else weight)
    if cache_dir is not None:
        samples = cached(samples, Path(cache_dir), size, repr(non_default_options(kind, entry)))
    else:
        samples = Tolerant(samples)
    if rows is not None:
        samples = Rows(samples, rows)
    if repeat:
        samples = Repeated(samples, repeat)
    return (LabelSubset(samples, only) if only else samples), weight


class Tolerant:
    """A data set in which an unusable sample is replaced by the next usable one and logged; see `Skipped`."""

    def __init__(self, samples: Samples):
        self.samples, self.names, self.files = samples, samples.names, samples.files
        self._skipped = Skipped(len(samples))

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Sample:
        while True:
            try:
                return self.samples[index]
            except DataError as error:
                self._skipped.add(index, error)
                index = (index + 1) % len(self.samples)


class Rows:
    """Some images of a data set, by index."""

    def __init__(self, samples: Samples, rows: Sequence[int]):
        if not rows or min(rows) < 0 or max(rows) >= len(samples):
            raise DataError(f"rows={list(rows)[:5]}...: expected indices of 0 to {len(samples) - 1}")
        self.samples, self.rows, self.files = samples, list(rows), samples.files

    @property
    def names(self) -> Sequence[str]:
        return [self.samples.names[row] for row in self.rows]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Sample:
        return self.samples[self.rows[index]]


class LabelSubset:
    """A data set reduced to some of its labels: boxes, lanes, drivable, semantic, scene."""

    def __init__(self, samples: Samples, labels: Sequence[str]):
        if unknown := set(labels) - set(LABELS):
            raise DataError(f"only={sorted(unknown)}: expected some of {', '.join(LABELS)}")
        self.samples, self.names, self.files = samples, samples.names, samples.files
        self._dropped: dict[str, Any] = {name: {} if name == "scene" else None for name in LABELS if name not in labels}

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Sample:
        return replace(self.samples[index], **self._dropped)


class Repeated:
    """A data set that repeats images of rare classes (repeat-factor sampling, Gupta et al. 2019, arXiv 1908.03195).

    threshold  fraction of images, above 0: a class in fewer images is rare; its images are repeated
               sqrt(threshold / fraction) times on average, those with several classes by the largest factor
    """

    def __init__(self, samples: Samples, threshold: float, seed: int = 0):
        if not 0 < threshold <= 1:
            raise DataError(f"repeat={threshold}: expected a fraction of the images, above 0 and at most 1")
        self.samples, self.files = samples, samples.files
        factors = repeat_factors(_presence(samples), threshold)
        times = np.floor(factors + np.random.default_rng(seed).random(len(factors))).astype(int)
        self._rows: list[int] = np.repeat(np.arange(len(factors)), times).tolist()

    @property
    def names(self) -> Sequence[str]:
        return [self.samples.names[row] for row in self._rows]

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> Sample:
        return self.samples[self._rows[index]]


def repeat_factors(presence: np.ndarray, threshold: float) -> np.ndarray:
    """(N,) how often each image should appear; presence (N, C) bool: the classes in each image."""
    fraction = presence.mean(0)
    factor = np.maximum(1, np.sqrt(threshold / np.maximum(fraction, 1e-9)))
    factors: np.ndarray = np.where(presence, factor, 1).max(1, initial=1)
    return factors


def _presence(samples: Samples) -> np.ndarray:
    """(N, C) bool, without ignored boxes."""
    presence = np.zeros((len(samples), len(OBJECTS)), bool)
    for index in range(len(samples)):
        boxes = samples[index].boxes
        if boxes is not None:
            presence[index, boxes.classes[~boxes.ignored]] = True
    return presence


class Sampler:
    """Endless keys of one rank, epoch by epoch; every image of a part is drawn once before any is drawn again.

    epoch, position  of the next key: the complete state (position counts the keys of this rank)
    """

    def __init__(self, mix: Mix, epoch_length: int, seed: int = 0, rank: int = 0, world: int = 1):
        self.sizes = [len(part) for part in mix.parts]
        self.counts = proportional_counts(np.array(mix.weights), epoch_length - epoch_length % world)
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
        """(N, 2) int64 part and index of each key of this rank."""
        drawn = np.concatenate([self._draw(part, epoch) for part in range(len(self.sizes))])
        keys: np.ndarray = np.random.default_rng((self.seed, epoch)).permutation(drawn)[self.rank :: self.world]
        return keys

    def _draw(self, part: int, epoch: int) -> np.ndarray:
        """This epoch's section of an endless sequence of shuffled copies of the part."""
        numbers = np.arange(epoch * self.counts[part], (epoch + 1) * self.counts[part])
        rounds, offsets = np.divmod(numbers, self.sizes[part])
        index = np.zeros(len(numbers), np.int64)
        for turn in np.unique(rounds):
            shuffled = np.random.default_rng((self.seed, part, int(turn), 1)).permutation(self.sizes[part])
            index[rounds == turn] = shuffled[offsets[rounds == turn]]
        return np.stack([np.full(len(index), part), index], 1)


def proportional_counts(weights: np.ndarray, total: int) -> np.ndarray:
    """Integers proportional to the weights that sum to total (largest remainders)."""
    exact = weights / weights.sum() * total
    counts: np.ndarray = np.floor(exact).astype(np.int64)
    counts[np.argsort(counts - exact, kind="stable")[: total - counts.sum()]] += 1
    return counts


class TargetDataset:
    """Targets by key: the same key gives the same arrays on every machine, in any order of access."""

    def __init__(
        self,
        mix: Mix,
        size: tuple[int, int],
        config: AugmentConfig = NONE,
        seed: int = 0,
        lights: LightCrops | None = None,
        paster: Paster | None = None,
        adapter: FourierAdapter | None = None,
    ):
        self.mix, self.size, self.config, self.seed, self.lights = mix, size, config, seed, lights
        self.paster, self.adapter = paster, adapter

    def __len__(self) -> int:
        return len(self.mix)

    def __getitem__(self, key: Key) -> dict[str, np.ndarray]:
        return targets(self.sample(key), self.size)

    def sample(self, key: Key) -> Sample:
        """The augmented sample of a key, at the input size of the network."""
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
            paster=self.paster,
            adapter=self.adapter,
        )
