"""Lane line labels: role, path in the image and visible end of every line."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from driving_scenes.base.camera import Camera
from driving_scenes.roads.cross_section import Layout, Line
from driving_scenes.scene.drive import Snapshot

ROW = 8.0  # pixels between vertices
HIDES = (1, 4, 5, 7)  # semantic ids that end a line: buildings, sidewalks, land, walls; vehicles and poles do not


@dataclass(frozen=True, slots=True)
class LaneCurve:
    """One lane line.

    points (P, 3) metres in base, near to far
    pixels (Q, 2) in the final image, far to near
    """

    number: int
    role: str
    style: str
    color: str
    points: np.ndarray
    pixels: np.ndarray


def lane_curves(snapshot: Snapshot, camera: Camera, depth: np.ndarray, labels: np.ndarray) -> list[LaneCurve]:
    """Every visible lane line of the ego road; depth and labels are those of the final image."""
    layout, start = snapshot.world.layout, snapshot.ego_s
    max_range = min(0.22 * camera.intrinsics[0], 130.0)
    lines = [line for line in layout.lines if line.valid.sum() > 2]
    chains = _continued([chain for line in lines for chain in _runs(line, layout, start, start + max_range)])
    out = []
    for number, (role, chain) in enumerate(_roles(chains, snapshot)):
        points = _in_base(snapshot, chain)
        pixels = _visible_pixels(points, camera, depth, labels)
        if len(pixels) >= 2 and np.ptp(pixels[:, 1]) >= 6:
            out.append(LaneCurve(number, role, chain.line.style, chain.line.color, points[::2], pixels))
    return out


@dataclass(frozen=True, slots=True)
class _Chain:
    line: Line
    s: np.ndarray
    t: np.ndarray


def _runs(line: Line, layout: Layout, start: float, end: float) -> list[_Chain]:
    """The stretches of a line between start and end, sampled every metre."""
    s = np.arange(start - 4.0, end, 1.0)
    there = np.interp(s, layout.s, line.valid.astype(float)) > 0.99
    edges = np.flatnonzero(np.diff(np.r_[False, there, False].astype(int)))
    t = np.interp(s, layout.s, line.t)
    return [_Chain(line, s[a:b], t[a:b]) for a, b in zip(edges[::2], edges[1::2]) if b - a >= 3]


def _continued(chains: list[_Chain]) -> list[_Chain]:
    """Join stretches that continue each other, such as solid into dashed; the nearer one sets the style."""
    chains = sorted(chains, key=lambda c: c.s[0])
    out: list[_Chain] = []
    for chain in chains:
        for i, before in enumerate(out):
            if (
                -1 < chain.s[0] - before.s[-1] < 5
                and abs(chain.t[0] - before.t[-1]) < 0.5
                and before.line.scope == chain.line.scope
            ):
                line = before.line if len(before.s) > 16 or len(before.s) > len(chain.s) else chain.line
                out[i] = _Chain(line, np.r_[before.s, chain.s], np.r_[before.t, chain.t])
                break
        else:
            out.append(chain)
    return out


def _roles(chains: list[_Chain], snapshot: Snapshot) -> list[tuple[str, _Chain]]:
    """Count lines outwards from the ego car; a line that starts beyond the end of another at its offset is `other`."""
    own: list[_Chain] = []
    other = [c for c in chains if c.line.scope != "own"]
    for chain in [c for c in chains if c.line.scope == "own"]:
        behind = any(
            abs(float(np.mean(k.t)) - float(np.mean(chain.t))) < 0.8
            and k.s[-1] < chain.s[0]
            and k.s[-1] > snapshot.ego_s + 6
            for k in own
        )
        (other if behind else own).append(chain)
    offsets = [float(c.t[max(int(np.searchsorted(c.s, snapshot.ego_s + 6)) - 1, 0)]) - snapshot.ego_t for c in own]
    out = [("other", c) for c in other]
    for name, sign in (("left", 1), ("right", -1)):
        side = sorted((o * sign, i) for i, o in enumerate(offsets) if o * sign > 0)
        for rank, (_, i) in enumerate(side):
            out.append((f"ego_{name}" if rank == 0 else f"{name}_{rank + 1}" if rank < 3 else "other", own[i]))
    return out


def _in_base(snapshot: Snapshot, chain: _Chain) -> np.ndarray:
    points = snapshot.world.road.at(chain.s, chain.t, chain.line.up)
    base_from_world = np.linalg.inv(snapshot.world_from_base)
    return points @ base_from_world[:3, :3].T + base_from_world[:3, 3]


def _visible_pixels(points: np.ndarray, camera: Camera, depth: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Pixels of the visible stretch, far to near, about ROW pixels apart."""
    fine = np.stack(
        [np.interp(np.arange(0, len(points) - 1, 0.25), np.arange(len(points)), points[:, k]) for k in range(3)], -1
    )
    pixels, far = camera.project(fine)
    ahead = far > 0.5
    pixels, far = pixels[ahead], far[ahead]
    inside = (pixels >= 0).all(1) & (pixels[:, 0] < camera.width) & (pixels[:, 1] < camera.height)
    if inside.sum() < 2:
        return np.zeros((0, 2))
    at = np.clip(pixels, 0, [camera.width - 1, camera.height - 1]).astype(int)
    front, label = depth[at[:, 1], at[:, 0]], labels[at[:, 1], at[:, 0]] & 15
    slack = 0.6 + 0.03 * far + 2.5 * far**2 / (camera.intrinsics[1] * camera.base_from_camera[2, 3])
    hidden = (front < far - slack) & (np.isin(label, HIDES) | (front < 2.5))
    crest = pixels[:, 1] > np.minimum.accumulate(np.where(inside, pixels[:, 1], np.inf)) + 0.75
    visible = inside & ~hidden & ~crest
    return _rows(_first_stretch(pixels, visible, far))


def _first_stretch(pixels: np.ndarray, visible: np.ndarray, far: np.ndarray) -> np.ndarray:
    """Pixels up to the first gap of more than 12 m."""
    index = np.flatnonzero(visible)
    if len(index) < 2:
        return np.zeros((0, 2))
    breaks = np.flatnonzero(np.diff(far[index]) > 12.0)
    index = index[: breaks[0] + 1] if len(breaks) else index
    return pixels[index[0] : index[-1] + 1]


def _rows(pixels: np.ndarray) -> np.ndarray:
    """A vertex about every ROW pixels along the line, both ends included, far to near."""
    if len(pixels) < 2:
        return pixels
    along = np.r_[0, np.cumsum(np.maximum(np.abs(np.diff(pixels[:, 1])), np.abs(np.diff(pixels[:, 0])) / 4))]
    count = max(int(np.ceil(along[-1] / ROW)) + 1, 2)
    wanted = np.linspace(0, along[-1], count)
    thin = np.stack([np.interp(wanted, along, pixels[:, k]) for k in range(2)], -1)
    return thin[::-1]
