"""The learned bonnet: found where it is, and nothing else."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from camera_perception.core.errors import BadImage
from camera_perception.lanes.ignored_region import IgnoredRegion
from camera_perception.lanes.learned_region import LearnedRegion, below, region_of

H, W = 90, 160
IMAGES = 45
U = np.arange(W)


def world(number: int) -> np.ndarray:
    """(H, W, 3) a sky, and blurred noise that is new in each image: a car that drives."""
    noise = np.random.default_rng(number).integers(0, 256, (H, W)).astype(np.uint8)
    image = cv2.GaussianBlur(noise, (0, 0), 3)
    image = cv2.normalize(image, None, 40, 200, cv2.NORM_MINMAX)
    return np.repeat(image[:, :, None], 3, axis=2)


def bonnet(edge: np.ndarray, image: np.ndarray, number: int) -> np.ndarray:
    """The image with a bonnet below a row per column, in which the sky is reflected."""
    out = image.copy()
    below = np.arange(H)[:, None] >= edge
    out[below] = 15 + world(number + 1000)[below] // 12
    return out


ARCH = np.rint(74 + 10 * ((U - 80) / 80) ** 2)
CORNER = np.where(U > 60, 90 - (U - 60) * 0.12, H)  # on the right half only
EDGES = {"arch": ARCH, "corner": np.rint(CORNER)}


def learned(images, given: IgnoredRegion | None = None) -> LearnedRegion:
    learner = LearnedRegion(given)
    for image in images:
        learner.update(image)
    return learner


@pytest.mark.parametrize("kind", EDGES)
@pytest.mark.parametrize("scale", [1, 4])
def test_a_bonnet_is_found_where_it_is(kind, scale):
    images = (bonnet(EDGES[kind], world(number), number) for number in range(IMAGES))
    found = learned(np.kron(image, np.ones((scale, scale, 1), np.uint8)) for image in images).region
    assert found is not None
    truth = np.arange(H)[:, None] >= EDGES[kind]
    mask = found.cells((H, W))
    assert np.count_nonzero(mask & truth) > 0.75 * np.count_nonzero(truth)
    assert np.count_nonzero(mask & ~truth) < 0.02 * np.count_nonzero(~truth)


def test_a_bonnet_grows_by_a_margin():
    edge = np.full(40, 29)
    edge[10:20] = 25
    rows, columns = below(edge, 30).nonzero()
    assert (rows.min(), columns.min(), columns.max()) == (24, 7, 22)


def straight_highway(number: int) -> np.ndarray:
    """Solid lines of three lanes and a horizon that never move."""
    image = world(number)
    image[: H // 2] = 220
    for u in (-120, -10, 170, 280):
        cv2.line(image, (80, 45), (u, H), (250, 250, 250), 2)
    return image


def standing(number: int) -> np.ndarray:
    """At a crossing: a stop line across the image, and a bus that passes."""
    image = world(0)
    image[70:76] = 255
    image[15:60, (number * 41) % W : (number * 41) % W + 90] = world(number)[15:60, :90][:, : W - (number * 41) % W]
    return image


def truck_ahead(number: int) -> np.ndarray:
    """Always the same distance behind a truck."""
    image = world(number)
    image[20:68, 45:115] = 240
    image[68:72, 45:115] = 5
    return image


@pytest.mark.parametrize("scene", [world, straight_highway, standing, truck_ahead])
def test_nothing_else_is_taken_for_a_bonnet(scene):
    learner = LearnedRegion()
    assert not any(learner.update(scene(number)) for number in range(IMAGES))
    assert learner.samples >= 25  # enough images of a changed world


def test_a_parked_car_learns_nothing_and_a_bonnet_that_is_gone_is_forgotten():
    still = bonnet(ARCH, world(0), 0)
    assert learned([still] * IMAGES).samples == 1
    learner = learned(bonnet(ARCH, world(number), number) for number in range(IMAGES))
    assert learner.region is not None
    for number in range(IMAGES):
        learner.update(world(number + 100))
    assert learner.region is None


def test_a_given_region_counts_from_the_start_and_stays():
    corner = np.zeros((H, W), bool)
    corner[:20, :30] = True
    learner = LearnedRegion(IgnoredRegion(corner))
    assert learner.update(world(0)).cells((H, W))[10, 10]
    for number in range(IMAGES):
        learner.update(bonnet(ARCH, world(number), number))
    cells = learner.region.cells((H, W))
    assert cells[10, 10]
    assert cells[85, 80]
    assert not cells[40, 80]


def test_auto_is_a_region_among_others():
    assert region_of(["", " "]) is None
    assert isinstance(region_of(["0,0.9 1,0.9 1,1 0,1"]), IgnoredRegion)
    both = region_of(["auto", "0,0.9 1,0.9 1,1 0,1"])
    assert isinstance(both, LearnedRegion)
    assert both.region.cells((100, 100))[95].all()
    with pytest.raises(BadImage):
        region_of(["auto", "automatic"])


@pytest.mark.parametrize(
    ("folder", "files", "has_bonnet"),
    [
        ("pandaset_002/images/back", "*.jpg", True),
        ("labelled/camvid/images", "0001TP*.jpg", True),
        ("pandaset_002/images/right", "*.jpg", False),
        ("labelled/camvid/images", "0006R0*.jpg", False),
    ],
)
def test_bonnets_of_real_drives_and_nothing_else(shared_data, folder, files, has_bonnet):
    paths = sorted((shared_data / folder).glob(files))
    if not paths:
        pytest.skip(f"{shared_data / folder} is not on this machine")
    learner = learned(cv2.imread(str(path), cv2.IMREAD_REDUCED_COLOR_4) for path in paths)
    assert (learner.region is not None) == has_bonnet
