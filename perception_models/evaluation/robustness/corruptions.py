"""Robustness to corrupted images: eight kinds at five strengths, in the manner of ImageNet-C.

Hendrycks and Dietterich 2019, arXiv 1903.12261; for driving Michaelis et al. 2019, arXiv 1907.07484, whose figure of
merit, the mean over all corruptions relative to clean images, is reported here.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import cv2
import numpy as np

from perception_models.data.cache import Samples
from perception_models.data.sample import Sample
from perception_models.evaluation.model import Predictor
from perception_models.evaluation.records import Record, evenly_spaced, headlines, record, summarise

STRENGTHS = (1, 2, 3, 4, 5)
Corruption = Callable[[np.ndarray, int, np.random.Generator], np.ndarray]  # image BGR, strength 1..5


def defocus(image: np.ndarray, strength: int, rng: np.random.Generator) -> np.ndarray:
    """Blur by a disc whose radius is 0.2 to 1 % of the image width."""
    radius = max(1, round(image.shape[1] * 0.002 * strength))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1)).astype(np.float32)
    return cv2.filter2D(image, -1, disc / disc.sum())


def motion(image: np.ndarray, strength: int, rng: np.random.Generator) -> np.ndarray:
    """Blur along a nearly horizontal line of 0.6 to 3 % of the image width."""
    length = max(3, round(image.shape[1] * 0.006 * strength) | 1)
    kernel = np.zeros((length, length), np.float32)
    slope = rng.uniform(-0.3, 0.3) * length / 2
    middle = length // 2
    cv2.line(kernel, (0, round(middle - slope)), (length - 1, round(middle + slope)), 1.0)
    return cv2.filter2D(image, -1, kernel / kernel.sum())


def noise(image: np.ndarray, strength: int, rng: np.random.Generator) -> np.ndarray:
    """Gaussian noise of 8 to 40 grey levels."""
    noisy = image + rng.normal(0, 8 * strength, image.shape).astype(np.float32)
    return np.asarray(np.clip(noisy, 0, 255), np.uint8)


def jpeg(image: np.ndarray, strength: int, rng: np.random.Generator) -> np.ndarray:
    """JPEG of quality 30 to 6."""
    quality = (30, 20, 14, 9, 6)[strength - 1]
    encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR))


def low_light(image: np.ndarray, strength: int, rng: np.random.Generator) -> np.ndarray:
    """Gamma 1.4 to 3, with the sensor noise of a short exposure."""
    dark = 255 * (image / 255.0) ** (1 + 0.4 * strength)
    return np.asarray(np.clip(dark + rng.normal(0, 1.5 * strength, image.shape), 0, 255), np.uint8)


def bright(image: np.ndarray, strength: int, rng: np.random.Generator) -> np.ndarray:
    """Overexposure by a factor of 1.25 to 2.25."""
    return cv2.convertScaleAbs(image, alpha=1 + 0.25 * strength)


def fog(image: np.ndarray, strength: int, rng: np.random.Generator) -> np.ndarray:
    """A veil of 15 to 75 % that thins out towards the bottom of the image."""
    rows = np.linspace(0, 1, image.shape[0])[:, None, None]
    veil = 0.15 * strength * np.where(rows < 0.5, 1.0, 1.6 - 1.2 * rows)
    return np.asarray(image * (1 - veil) + 205 * veil).astype(np.uint8)


def rain(image: np.ndarray, strength: int, rng: np.random.Generator) -> np.ndarray:
    """100 to 500 bright streaks over a duller image."""
    height, width = image.shape[:2]
    layer: np.ndarray = np.zeros((height, width), np.uint8)
    starts = rng.uniform((0, -0.1), (1, 1), (100 * strength, 2)) * (width, height)
    ends = starts + np.array([0.1, 1.0]) * rng.uniform(0.02, 0.08, (len(starts), 1)) * height
    cv2.polylines(layer, list(np.stack([starts, ends], 1).round().astype(np.int32)), False, 255, 1, cv2.LINE_AA)
    dull = cv2.convertScaleAbs(image, alpha=1 - 0.06 * strength, beta=5 * strength)
    return cv2.addWeighted(dull, 1.0, cv2.cvtColor(layer, cv2.COLOR_GRAY2BGR), 0.12 + 0.08 * strength, 0)


CORRUPTIONS: dict[str, Corruption] = {
    "defocus": defocus, "motion": motion, "noise": noise, "jpeg": jpeg,
    "low light": low_light, "bright": bright, "fog": fog, "rain": rain,
}  # fmt: skip


def corrupted(sample: Sample, kind: str, strength: int) -> Sample:
    """The sample with one corruption, always the same for the same name; synthetic weather makes the label unknown."""
    rng = np.random.default_rng(zlib.crc32(f"{sample.name} {kind} {strength}".encode()))
    unknown = {"weather": -1} if kind in ("fog", "rain") else {"timeofday": -1} if kind == "low light" else {}
    image = CORRUPTIONS[kind](sample.image, strength, rng)
    return replace(sample, image=image, scene={**sample.scene, **unknown})


def corruption_table(
    model: Predictor, sets: Mapping[str, tuple[str, Samples]], limit: int | None = 20
) -> dict[str, dict[str, float]]:
    """Headline metrics by row: "clean", "KIND STRENGTH", "KIND" (mean over strengths), and "mean" over all of them.

    sets   kind and samples by name, of data.registry.find_datasets
    limit  maximum images per data set, evenly spaced; each is evaluated 41 times
    """
    rows: dict[str, list[Record]] = {"clean": []}
    rows |= {f"{kind} {strength}": [] for kind in CORRUPTIONS for strength in STRENGTHS}
    for name, (dataset, samples) in sets.items():
        if dataset != "traffic_light_crops":
            for sample in evenly_spaced(samples, limit, progress=f"{name}, corrupted"):
                _add(rows, sample, model)
    threshold = model.threshold("objects")
    metrics = {name: headlines(summarise(records, threshold, curves=False)) for name, records in rows.items()}
    means = {kind: mean([metrics[f"{kind} {strength}"] for strength in STRENGTHS]) for kind in CORRUPTIONS}
    return {"clean": metrics["clean"], **means, "mean": mean(list(means.values())), **metrics}


def _add(rows: dict[str, list[Record]], sample: Sample, model: Predictor) -> None:
    rows["clean"].append(record(model(sample.image), sample, model))
    for kind in CORRUPTIONS:
        for strength in STRENGTHS:
            changed = corrupted(sample, kind, strength)
            rows[f"{kind} {strength}"].append(record(model(changed.image), changed, model))


def mean(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Mean of every metric over the rows that have it."""
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: float(np.mean([row[name] for row in rows if name in row])) for name in names}


def summary(table: Mapping[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The rows without those of single strengths."""
    return {name: row for name, row in table.items() if name in ("clean", "mean", *CORRUPTIONS)}
