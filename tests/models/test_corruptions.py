"""Corrupted images: each kind gets worse with its strength, is the same every time, and leaves the labels alone."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from perception_models.data.sample import Sample
from perception_models.evaluation.robustness.corruptions import CORRUPTIONS, STRENGTHS, corrupted, mean, summary


@pytest.fixture(scope="module")
def sample() -> Sample:
    smooth = np.random.default_rng(4).integers(0, 256, (12, 20, 3), dtype=np.uint8)
    image = cv2.resize(smooth, (160, 96), interpolation=cv2.INTER_CUBIC)
    return Sample("one", image, scene={"weather": 1, "timeofday": 2, "scene": 0})


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_a_stronger_corruption_is_farther_from_the_image(kind, sample):
    images = [corrupted(sample, kind, strength).image for strength in STRENGTHS]
    distances = [float(np.abs(image.astype(int) - sample.image).mean()) for image in images]
    assert distances[0] > 0.5
    assert all(a < 1.05 * b for a, b in zip(distances, distances[1:]))
    assert distances[-1] > 1.5 * distances[0]
    assert {(image.shape, image.dtype.name) for image in images} == {(sample.image.shape, "uint8")}


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_a_corruption_is_reproducible_and_keeps_other_labels(kind, sample):
    first, second = corrupted(sample, kind, 3), corrupted(sample, kind, 3)
    assert np.array_equal(first.image, second.image)
    assert first.scene["scene"] == 0
    changed = {name for name in sample.scene if first.scene[name] != sample.scene[name]}
    assert changed == {"fog": {"weather"}, "rain": {"weather"}, "low light": {"timeofday"}}.get(kind, set())


def test_the_mean_takes_the_rows_that_have_a_metric():
    assert mean([{"a": 1.0, "b": 2.0}, {"a": 3.0}]) == {"a": 2.0, "b": 2.0}
    table = {"clean": {"a": 1}, "fog": {"a": 2}, "fog 1": {"a": 3}, "mean": {"a": 4}}
    assert list(summary(table)) == ["clean", "fog", "mean"]
