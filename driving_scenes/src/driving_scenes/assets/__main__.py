"""python -m driving_scenes.assets --out sheet.png [--only car] [--count 4] [--detail 1]

Draws a contact sheet of assets with a small z-buffer renderer, to judge silhouettes without OpenGL.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import typer

from driving_scenes.assets import ASSETS
from driving_scenes.base.mesh import Material, Mesh

_SUN = np.array([-0.45, -0.5, 0.74])
_SKY = np.array([0.55, 0.65, 0.78])
_GROUND = np.array([0.22, 0.22, 0.215])


def camera_axes(camera_position: np.ndarray, target: np.ndarray) -> np.ndarray:
    """(3, 3) rows right, down, forward of a level camera at camera_position facing target."""
    forward = (target - camera_position) / np.linalg.norm(target - camera_position)
    right = np.cross(forward, [0, 0, 1.0])
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(forward, right), forward])


def render_view(mesh: Mesh, azimuth: float, size: int = 220, elevation: float = 8.0) -> np.ndarray:
    """(size, size, 3) uint8 BGR view of a mesh from an azimuth in degrees: 180 is from behind, 0 from the front."""
    low, high = mesh.vertices.min(0), mesh.vertices.max(0)
    target = ((low + high) / 2).astype(float)
    radius = np.linalg.norm(high - low) / 2
    a, e = np.radians(azimuth), np.radians(elevation)
    camera_position = target + 4.5 * radius * np.array([np.cos(a) * np.cos(e), np.sin(a) * np.cos(e), np.sin(e)])
    camera_points = (mesh.vertices - camera_position) @ camera_axes(camera_position, target).T
    flat = camera_points[:, :2] / camera_points[:, 2:]
    left, right = flat.min(0), flat.max(0)
    pixels = (flat - (left + right) / 2) * (0.88 * size / (right - left).max()) + size / 2
    image = np.broadcast_to(
        np.where(np.arange(size)[:, None, None] < size * 0.5, _SKY, _GROUND), (size, size, 3)
    ).copy()
    leaves = mesh.faces[mesh.materials[mesh.faces[:, 0]] == Material.FOLIAGE]
    _rasterize(
        image,
        pixels,
        camera_points[:, 2],
        _shaded_colors(mesh, camera_position),
        np.concatenate([mesh.faces, leaves[:, ::-1]]),
    )
    return np.asarray(np.clip(image, 0, 1)[..., ::-1] ** (1 / 2.2) * 255).astype(np.uint8)


def _shaded_colors(mesh: Mesh, camera_position: np.ndarray) -> np.ndarray:
    sun = np.clip(mesh.normals @ _SUN, 0, None)[:, None]
    color = mesh.colors * (1.1 * sun + 0.45 + 0.25 * mesh.normals[:, 2:])
    view = camera_position - mesh.vertices
    view /= np.linalg.norm(view, axis=1, keepdims=True)
    bounce = 2 * (view * mesh.normals).sum(1, keepdims=True) * mesh.normals - view
    gloss = (
        np.isin(mesh.materials, (Material.GLASS, Material.WINDOW))[:, None] * 0.5
        + (mesh.materials == Material.PAINT)[:, None] * 0.15
    )
    reflection = np.where(bounce[:, 2:] > 0, _SKY * np.clip(bounce[:, 2:] * 3, 0, 1), 0.1)
    return np.asarray(color + gloss * reflection)


def _rasterize(image: np.ndarray, pixels: np.ndarray, depth: np.ndarray, shade: np.ndarray, faces: np.ndarray) -> None:
    """Draw triangles into image with a z-buffer; back faces are culled, which shows wrong windings."""
    size = len(image)
    nearest = np.full((size, size), np.inf)
    tri = pixels[faces]
    one, two = tri[:, 1] - tri[:, 0], tri[:, 2] - tri[:, 0]
    area = one[:, 0] * two[:, 1] - one[:, 1] * two[:, 0]
    for face in np.flatnonzero(area < -1e-9):
        (x0, y0), (x1, y1), (x2, y2) = tri[face]
        left, right = max(int(min(x0, x1, x2)), 0), min(int(max(x0, x1, x2)) + 2, size)
        top, bottom = max(int(min(y0, y1, y2)), 0), min(int(max(y0, y1, y2)) + 2, size)
        if left >= right or top >= bottom:
            continue
        x, y = np.arange(left, right) + 0.5, np.arange(top, bottom)[:, None] + 0.5
        w1 = ((x - x0) * (y2 - y0) - (y - y0) * (x2 - x0)) / area[face]
        w2 = ((x1 - x0) * (y - y0) - (y1 - y0) * (x - x0)) / area[face]
        w0 = 1 - w1 - w2
        a, b, c = faces[face]
        z = w0 * depth[a] + w1 * depth[b] + w2 * depth[c]
        window = nearest[top:bottom, left:right]
        hit = (w0 >= 0) & (w1 >= 0) & (w2 >= 0) & (z < window)
        window[hit] = z[hit]
        image[top:bottom, left:right][hit] = (
            w0[..., None] * shade[a] + w1[..., None] * shade[b] + w2[..., None] * shade[c]
        )[hit]


def sheet(
    out: Annotated[Path, typer.Option(help="PNG file to write")] = Path("sheet.png"),
    only: Annotated[str, typer.Option(help="Asset names separated by commas; default: all")] = "",
    count: Annotated[int, typer.Option(help="Number of each asset")] = 2,
    detail: Annotated[int, typer.Option(help="Level of detail: 1 near, 0 far")] = 1,
    seed: Annotated[int, typer.Option(help="First random seed")] = 0,
    size: Annotated[int, typer.Option(help="Width and height of each view, pixels")] = 200,
) -> None:
    """Draw every asset from behind, at an angle, from the side and from the front."""
    rows = []
    for name in only.split(",") if only else ASSETS:
        for number in range(count):
            whole = ASSETS[name](np.random.default_rng(seed + number), detail=detail).whole()
            views = [render_view(whole, azimuth, size) for azimuth in (180, 150, -90, -25)]
            cv2.putText(
                views[0],
                f"{name} {len(whole.faces)}",
                (4, 12),
                cv2.FONT_HERSHEY_SIMPLEX,
                0.4,
                (0, 0, 0),
                1,
                cv2.LINE_AA,
            )
            rows.append(np.hstack(views))
    columns = 1 if len(rows) < 5 else 2
    rows += [np.zeros_like(rows[0])] * (-len(rows) % columns)
    cv2.imwrite(str(out), np.vstack([np.hstack(rows[i : i + columns]) for i in range(0, len(rows), columns)]))


if __name__ == "__main__":
    typer.run(sheet)
