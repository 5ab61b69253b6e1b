"""Fourier domain adaptation: what changes is light and colour, not what is seen."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from perception_models.data.augment.fourier import FourierAdapter, FourierConfig, with_low_frequencies
from perception_models.data.files import DataError
from perception_models.data.labels import UNKNOWN
from perception_models.data.sample import Sample

SIZE = 96, 160


def picture(seed: int, level: float = 110, spread: float = 40) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, 1, (*SIZE, 3)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 6) * 8
    return np.clip(level + spread * (smooth + 0.3 * noise), 0, 255).astype(np.uint8)


def edges(image: np.ndarray) -> np.ndarray:
    return cv2.Laplacian(image, cv2.CV_32F).ravel()


@pytest.mark.parametrize("band", [0.0, 0.01, 0.05])
def test_an_image_adapted_to_itself_stays_as_it_is(band: float):
    image = picture(1)
    assert np.abs(with_low_frequencies(image, image, band).astype(int) - image).max() <= 1


@pytest.mark.parametrize("band", [0.0, 0.01, 0.02])
def test_the_mean_is_that_of_the_real_image_and_edges_stay(band: float):
    image, real = picture(1), picture(2, level=70, spread=15)
    adapted = with_low_frequencies(image, real, band)
    assert np.abs(adapted.mean((0, 1)) - real.mean((0, 1))).max() < 6
    assert np.corrcoef(edges(adapted), edges(image))[0, 1] > 0.95


def test_a_wider_band_takes_more_of_the_real_image():
    image, real = picture(1), picture(2, level=110, spread=80)
    changes = [np.abs(with_low_frequencies(image, real, band).astype(int) - image).mean() for band in (0, 0.02, 0.05)]
    assert changes == sorted(changes)


@pytest.fixture
def adapter(tmp_path) -> FourierAdapter:
    cv2.imwrite(str(tmp_path / "real.png"), picture(3, level=60))
    return FourierAdapter(FourierConfig((str(tmp_path),), fraction=1.0))


def test_rendered_images_change_and_their_time_of_day_is_unknown(adapter):
    sample = Sample("rendered", picture(1), scene={"timeofday": 0, "weather": 1})
    out = adapter(sample, np.random.default_rng(0))
    assert out.image.mean() < sample.image.mean() - 20
    assert out.scene == {"timeofday": UNKNOWN, "weather": 1}


def test_images_with_incomplete_labels_stay_as_they_are(adapter):
    sample = Sample("real", picture(1), known_classes=frozenset({0, 2}))
    assert adapter(sample, np.random.default_rng(0)) is sample


@pytest.mark.parametrize(
    "wrong", [{"paths": ()}, {"fraction": 1.5}, {"band": (0.02, 0.01)}, {"band": (0.0, 0.5)}], ids=str
)
def test_wrong_settings_are_named(wrong: dict):
    with pytest.raises(DataError, match=r"augment\.fourier"):
        FourierConfig(**{"paths": ("a",), **wrong})


def test_a_folder_without_images_is_named(tmp_path):
    with pytest.raises(DataError, match="no .jpg or .png"):
        FourierAdapter(FourierConfig((str(tmp_path),)))
