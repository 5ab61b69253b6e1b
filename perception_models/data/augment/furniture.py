"""Drawn street furniture: upright things on pavements that are no people, such as bollards, bins and letter boxes.

A network that learns people from few images takes anything thin and upright on a pavement for one. These drawings are
pasted like cut-outs but carry no box, so that they are background.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from perception_models.data.augment.cutouts import Cutout

HEIGHT = 224  # pixels of a drawing
GREYS = (35, 60, 90, 130, 170, 205, 235)
VIVID = ((40, 40, 190), (30, 140, 210), (40, 200, 230), (150, 80, 30), (60, 110, 40), (200, 200, 205))  # BGR
Drawing = tuple[np.ndarray, float]  # (h, w, 4) uint8 BGRA, height in metres


def draw_furniture(count: int = 150, seed: int = 0) -> dict[str, tuple[Cutout, np.ndarray]]:
    """By name: a cut-out without parts and its (h, w, 4) uint8 BGRA image; the same for the same seed."""
    drawn = {}
    for number in range(count):
        rng = np.random.default_rng((seed, number))
        image, metres = DRAWINGS[number % len(DRAWINGS)](rng)
        image[..., :3] = _worn(image[..., :3], rng)
        colours = image[..., :3][image[..., 3] > 127]
        size = (image.shape[1], image.shape[0])
        grey = (128.0, 128.0, 128.0)
        name = f"furniture_{number}"
        drawn[name] = (
            Cutout(name, size, (), size[1], (), grey, float(colours.mean()), "drawn", "", metres=metres),
            image,
        )
    return drawn


def _canvas(ratio: float) -> np.ndarray:
    return np.zeros((HEIGHT, max(round(HEIGHT * ratio), 8), 4), np.uint8)


def _colour(rng: np.random.Generator, vivid: float) -> tuple[int, int, int]:
    if rng.random() < vivid:
        blue, green, red = VIVID[int(rng.integers(len(VIVID)))]
        return blue, green, red
    grey = int(rng.choice(GREYS))
    return tuple(int(np.clip(grey + d, 0, 255)) for d in rng.integers(-8, 9, 3))  # type: ignore[return-value]


def _fill(image: np.ndarray, box: tuple[float, float, float, float], colour: tuple[int, int, int]) -> None:
    """A rectangle; `box` is x0 y0 x1 y1 in fractions of the image."""
    h, w = image.shape[:2]
    x0, y0, x1, y1 = (round(v * s) for v, s in zip(box, (w, h, w, h)))
    cv2.rectangle(image, (x0, y0), (max(x1 - 1, x0), max(y1 - 1, y0)), (*colour, 255), -1)


def _round(image: np.ndarray) -> None:
    """Shade like an upright cylinder lit from one side, in place."""
    profile = np.sqrt(1 - np.linspace(-0.95, 0.8, image.shape[1], dtype=np.float32) ** 2) * 0.75 + 0.3
    image[..., :3] = np.clip(image[..., :3] * profile[None, :, None], 0, 255).astype(np.uint8)


def _worn(colours: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Dirt from below and coarse stains."""
    h, w = colours.shape[:2]
    stains = cv2.resize(rng.normal(1, 0.12, (7, 4)).astype(np.float32), (w, h), interpolation=cv2.INTER_CUBIC)
    dirt = 1 - 0.3 * rng.random() * np.linspace(0, 1, h, dtype=np.float32)[:, None] ** 3
    worn: np.ndarray = np.clip(colours * (stains * dirt)[..., None], 0, 255).astype(np.uint8)
    return worn


def bollard(rng: np.random.Generator) -> Drawing:
    """Black, grey, wooden or painted; round or square, with up to three bands and a cap."""
    image = _canvas(rng.uniform(0.09, 0.26))
    _fill(image, (0.08, 0.04, 0.92, 1), _colour(rng, 0.25))
    for _ in range(int(rng.integers(0, 4))):
        top = rng.uniform(0.06, 0.6)
        _fill(image, (0.08, top, 0.92, top + rng.uniform(0.03, 0.1)), _colour(rng, 0.5))
    _fill(image, (0, 0, 1, rng.uniform(0.02, 0.09)), _colour(rng, 0.15))
    if rng.random() < 0.7:
        _round(image)
    return image, rng.uniform(0.8, 1.35)


def keep_left(rng: np.random.Generator) -> Drawing:
    """The lit white and yellow bollard of traffic islands, with a blue disc and an arrow."""
    image = _canvas(rng.uniform(0.35, 0.5))
    _fill(image, (0, 0.05, 1, 1), (225, 228, 230))
    _fill(image, (0, rng.uniform(0.5, 0.75), 1, 1), (30, 190, 235))
    centre, radius = (image.shape[1] // 2, round(HEIGHT * 0.25)), round(image.shape[1] * 0.42)
    cv2.circle(image, centre, radius, (160, 80, 20, 255), -1, cv2.LINE_AA)
    tip = centre[0] + int(rng.choice([-1, 1])) * radius // 2, centre[1] + radius // 2
    cv2.arrowedLine(image, (2 * centre[0] - tip[0], 2 * centre[1] - tip[1]), tip, (240, 240, 240, 255), 6)
    return image, rng.uniform(1.0, 1.6)


def letter_box(rng: np.random.Generator) -> Drawing:
    """A red, blue or yellow pillar with a dark slot."""
    image = _canvas(rng.uniform(0.28, 0.42))
    colour = ((35, 35, 170), (150, 70, 30), (30, 180, 225))[int(rng.integers(3))]
    _fill(image, (0.06, 0.03, 0.94, 1), colour)
    _fill(image, (0, 0.03, 1, 0.1), colour)
    _fill(image, (0.25, 0.2, 0.75, 0.24), (20, 20, 20))
    _fill(image, (0.3, 0.32, 0.7, 0.45), (215, 220, 220))
    _fill(image, (0.06, 0.93, 0.94, 1), (25, 25, 25))
    _round(image)
    return image, rng.uniform(1.3, 1.7)


def litter_bin(rng: np.random.Generator) -> Drawing:
    """A box or cylinder with a lid or an opening."""
    image = _canvas(rng.uniform(0.4, 0.75))
    _fill(image, (0.05, 0.12, 0.95, 1), _colour(rng, 0.4))
    _fill(image, (0, 0.02, 1, 0.16), _colour(rng, 0.3))
    if rng.random() < 0.6:
        _fill(image, (0.2, 0.2, 0.8, 0.34), (22, 22, 22))
    if rng.random() < 0.5:
        _round(image)
    return image, rng.uniform(0.8, 1.3)


def cabinet(rng: np.random.Generator) -> Drawing:
    """A box of doors with gaps, for electricity or telephone; also a narrow ticket machine."""
    image = _canvas(rng.uniform(0.3, 1.1))
    body = _colour(rng, 0.35)
    _fill(image, (0, 0, 1, 1), body)
    dark = tuple(int(0.5 * c) for c in body)
    for x in np.linspace(0, 1, int(rng.integers(2, 4)) + 1)[1:-1]:
        _fill(image, (x, 0.05, x + 0.02, 0.95), dark)  # type: ignore[arg-type]
    if rng.random() < 0.5:
        _fill(image, (0.15, 0.12, 0.85, 0.35), _colour(rng, 0.6))
    return image, rng.uniform(1.0, 1.9)


def panel(rng: np.random.Generator) -> Drawing:
    """A standing board: advertisement, car park sign or map, on one or two legs."""
    image = _canvas(rng.uniform(0.25, 0.6))
    foot = rng.uniform(0.6, 1.0)
    legs = _colour(rng, 0.1)
    for x in (0.08, 0.84) if rng.random() < 0.5 else (0.44, 0.44):
        _fill(image, (x, foot - 0.02, x + 0.1, 1), legs)
    _fill(image, (0, 0, 1, foot), _colour(rng, 0.8))
    for _ in range(int(rng.integers(1, 6))):
        x, y = rng.uniform(0.05, 0.5), rng.uniform(0.03, foot - 0.12)
        _fill(image, (x, y, min(x + rng.uniform(0.2, 0.6), 0.95), y + rng.uniform(0.02, 0.1)), _colour(rng, 0.5))
    return image, rng.uniform(1.4, 2.4)


def headed_post(rng: np.random.Generator) -> Drawing:
    """A thin post with a box, a disc or a plate at its top: parking meter, beacon, small sign."""
    image = _canvas(rng.uniform(0.16, 0.3))
    _fill(image, (0.4, 0.1, 0.6, 1), _colour(rng, 0.1))
    head = rng.uniform(0.1, 0.3)
    if rng.random() < 0.5:
        _fill(image, (0.05, 0, 0.95, head), _colour(rng, 0.5))
    else:
        radius = image.shape[1] // 2
        cv2.circle(image, (radius, radius), radius - 1, (*_colour(rng, 0.7), 255), -1, cv2.LINE_AA)
    return image, rng.uniform(1.2, 2.2)


def trunk(rng: np.random.Generator) -> Drawing:
    """The stem of a young tree with its stakes, cut where the crown begins."""
    image = _canvas(rng.uniform(0.1, 0.3))
    bark = tuple(int(v) for v in np.array([50, 65, 80]) * rng.uniform(0.5, 1.5))
    bend = rng.uniform(-0.1, 0.1)
    for row in range(HEIGHT):
        middle = 0.5 + bend * np.sin(row / HEIGHT * np.pi)
        half = 0.2 + 0.2 * (row / HEIGHT) ** 2
        _fill(image, (middle - half, row / HEIGHT, middle + half, (row + 1) / HEIGHT), bark)  # type: ignore[arg-type]
    _round(image)
    return image, rng.uniform(1.5, 2.5)


def cone(rng: np.random.Generator) -> Drawing:
    """An orange cone or a striped post of road works."""
    image = _canvas(rng.uniform(0.4, 0.6))
    width = image.shape[1]
    corners = np.array([(width * 0.44, 0), (width * 0.56, 0), (width * 0.85, HEIGHT - 14), (width * 0.15, HEIGHT - 14)])
    cv2.fillPoly(image, [corners.astype(np.int32)], (30, 90, 230, 255), cv2.LINE_AA)
    band = np.zeros_like(image)
    _fill(band, (0, 0.35, 1, 0.6), (235, 235, 235))
    inside = (image[..., 3] > 0) & (band[..., 3] > 0)
    image[inside] = band[inside]
    _fill(image, (0, 0.94, 1, 1), (30, 60, 170))
    return image, rng.uniform(0.5, 1.0)


DRAWINGS: tuple[Callable[[np.random.Generator], Drawing], ...] = (
    bollard, headed_post, bollard, panel, bollard, letter_box, bollard, litter_bin, trunk, cabinet, bollard, keep_left,
    headed_post, cone,
)  # fmt: skip
