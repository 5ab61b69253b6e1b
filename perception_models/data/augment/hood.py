"""The camera's own car at the bottom of an image: a hood, a dashboard or a boot lid that mirrors the scene above it."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from perception_models.data.augment.hiding import hide
from perception_models.data.labels import DRIVABLE, SEMANTIC
from perception_models.data.sample import Lane, Lanes, Sample

NONE, OWN_CAR = DRIVABLE.index("background"), SEMANTIC.index("vehicle")
PAINTS = (
    (20, 20, 20),
    (60, 60, 62),
    (130, 130, 130),
    (205, 208, 210),
    (30, 25, 120),
    (110, 50, 25),
    (40, 70, 45),
)  # BGR
# Share of the mirrored scene in what a hood shows; at grazing angles paint reflects like a mirror (Fresnel).
MIRROR = (0.25, 0.85)
ALIKE = 0.3  # share of the hoods whose paint is nearly the colour of the road that they hide
LAYERED = 0.35  # share with layers, as of a dashboard
BESIDE = 0.3  # share of the cameras that look past the middle of a hood, so that it fills one corner


def hood(sample: Sample, rng: np.random.Generator) -> Sample:
    """The sample with a drawn hood: not drivable, a vehicle of the semantic map, and in front of boxes and lines."""
    cover = outline(sample.size, rng)
    image = paint(sample.image, cover, rng)
    # An image without a drivable map stays without one: hoods alone would teach that nothing is drivable.
    drivable = None if sample.drivable is None else np.where(cover, np.uint8(NONE), sample.drivable)
    semantic = None if sample.semantic is None else np.where(cover, np.uint8(OWN_CAR), sample.semantic)
    boxes = None if sample.boxes is None else hide(sample.boxes, cover, sample.semantic)
    lanes = None if sample.lanes is None else visible_lines(sample.lanes, cover)
    return replace(sample, image=image, drivable=drivable, semantic=semantic, boxes=boxes, lanes=lanes)


def outline(size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """(H, W) bool: below a curve that is highest near the middle or at one edge, and may end before the edges."""
    height, width = size
    u = (np.arange(width) + 0.5) / width - rng.uniform(0.35, 0.65)
    roundness, lean, middle = rng.uniform(0, 0.16), rng.normal(0, 0.03), rng.uniform(0.03, 0.24)
    if rng.random() < BESIDE:
        lean, middle = rng.normal(0, 0.15), rng.uniform(0.0, 0.1)
    rise = middle - roundness * np.abs(2 * u) ** rng.uniform(1.5, 5) + lean * u
    if rng.random() < 0.3:  # two creases beside the middle
        rise = rise + rng.uniform(0.005, 0.02) * (np.abs(u) < rng.uniform(0.12, 0.3))
    rise = cv2.GaussianBlur(rise[None].astype(np.float32), (0, 0), max(width / 150, 0.5))[0]
    return np.asarray(np.arange(height)[:, None] >= height * (1 - rise)[None])


def paint(image: np.ndarray, cover: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The image (H, W, 3) with the covered pixels painted, its border softened."""
    if not cover.any():
        return image
    top = max(int(cover.any(1).argmax()) - 4, 0)  # only these rows change
    below = cover[top:]
    depth = np.cumsum(below, 0, dtype=np.float32)  # rows below the edge, 1 at the edge
    light = float(np.percentile(image[::4, ::4], 75)) / 190
    colour = image[cover].mean(0) if rng.random() < ALIKE else np.array(PAINTS[rng.integers(len(PAINTS))]) * light
    colour = colour * rng.uniform(0.7, 1.2)
    shade = 1 - rng.uniform(-0.2, 0.5) * depth / max(depth.max(), 1)
    surface = shade[..., None] * colour.astype(np.float32)
    if rng.random() < 0.8:  # otherwise a matt dashboard
        strength = rng.uniform(*MIRROR) * np.exp(-depth / (image.shape[0] * rng.uniform(0.05, 0.5)))
        surface += (reflection(image, cover, depth, rng) - surface) * strength[..., None]
    if rng.random() < LAYERED:
        surface = layers(surface, depth, rng)
    surface = surface + details(depth, rng)[..., None] * light
    alpha = cv2.GaussianBlur(below.astype(np.float32), (0, 0), rng.uniform(0.5, 1.6))[..., None]
    painted = image.copy()
    painted[top:] = np.clip(image[top:] * (1 - alpha) + surface * alpha, 0, 255)
    return painted


def reflection(image: np.ndarray, cover: np.ndarray, depth: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(D, W, 3) float32, for the lowest D rows: the scene upside down, from the edge or from the horizon up."""
    height, width = cover.shape
    edge = np.where(cover.any(0), cover.argmax(0), height).astype(np.float32)
    start = edge[None] if rng.random() < 0.35 else np.full((1, width), height * rng.uniform(0.35, 0.6), np.float32)
    v = start - depth * rng.uniform(0.8, 4)
    bend = (np.arange(width) - width / 2) * rng.uniform(0.85, 1.5) + width / 2
    u = bend[None] + depth * rng.normal(0, 0.3)
    maps = u.astype(np.float32), v.astype(np.float32)
    mirrored = cv2.remap(image, *maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    sigma = height * rng.uniform(0.002, 0.03)
    return cv2.GaussianBlur(mirrored, (0, 0), sigma, sigmaY=sigma * rng.uniform(1, 3)).astype(np.float32)


def layers(surface: np.ndarray, depth: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The surface (D, W, 3) with strips along its edge: the foot of a windscreen, wipers, and parts of a dashboard.

    depth  (D, W) rows below the edge, 0 above it
    """
    deepest, out = max(float(depth.max()), 1.0), surface.copy()
    across = np.arange(depth.shape[1], dtype=np.float32)[None] - depth.shape[1] / 2
    slope = across * rng.normal(0, 0.06)  # strips need not follow the edge
    for _ in range(rng.integers(1, 6)):
        start, tall = deepest * rng.uniform(0, 0.9), deepest * rng.uniform(0.02, 0.4)
        inside = (depth + slope > start) & (depth + slope < start + tall) & (depth > 0)
        tone = rng.uniform(0.15, 1.1) if rng.random() < 0.8 else rng.uniform(1.1, 2.2)
        out[inside] = (rng.uniform(0.2, 1) * out[inside] + rng.uniform(0, 30)) * tone
    return out


def details(depth: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(D, W) float32 to add: a bright or dark rim, creases, and the soft patches of an uneven surface."""
    size = depth.shape
    added = np.zeros(size, np.float32)
    if rng.random() < 0.6:
        added += rng.normal(0, 60) * np.exp(-depth / rng.uniform(0.5, 4))
    for _ in range(rng.integers(0, 4)):
        top = rng.uniform(0.1, 0.9)
        ends = (int(top * size[1]), 0), (int((top + rng.normal(0, 0.2)) * size[1]), size[0])
        added += cv2.line(np.zeros(size, np.float32), *ends, rng.normal(0, 35), int(rng.integers(1, 4)), cv2.LINE_AA)
    patches = cv2.resize(rng.normal(0, 1, (4, 6)).astype(np.float32), size[::-1], interpolation=cv2.INTER_CUBIC)
    return np.asarray(added + patches * rng.uniform(0, 14))


def visible_lines(lanes: Lanes, cover: np.ndarray) -> Lanes:
    """The lines without their points on covered pixels; a line of fewer than two points goes."""
    kept = [replace(line, points=line.points[~_covered(line, cover)]) for line in lanes.lines]
    return replace(lanes, lines=[line for line in kept if len(line.points) > 1])


def _covered(line: Lane, cover: np.ndarray) -> np.ndarray:
    """(P,) bool: points on covered pixels; those outside the image are not covered."""
    u, v = np.floor(line.points).astype(int).T
    inside = (u >= 0) & (v >= 0) & (u < cover.shape[1]) & (v < cover.shape[0])
    covered: np.ndarray = np.zeros(len(u), bool)
    covered[inside] = cover[v[inside], u[inside]]
    return covered
