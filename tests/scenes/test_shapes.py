"""Basic shapes: outward faces, shading and volume."""

from __future__ import annotations

import numpy as np
import pytest

from driving_scenes.base.shapes import box, lattice, prism, quads, rods, shaded, tube


@pytest.mark.parametrize(
    "mesh",
    [
        box((0, 0, 0), (1, 2, 3), (1, 1, 1)),
        tube([(0, 0, -1), (0, 0, 1)], [0.5, 0.4], (1, 1, 1)),
        tube([(0, -1, 0), (0, 1, 0)], [0.5, 0.4], (1, 1, 1)),
        rods([(0, 0, -1)], [(0, 0, 1)], 0.3, (1, 1, 1)),
        rods([(-1, 0, 0)], [(1, 0, 0)], 0.3, (1, 1, 1)),
        prism([(1, 0), (0, 1), (-1, 0), (0, -1)], -1, 1, (1, 1, 1)),
    ],
)
def test_shapes_face_outwards(mesh):
    corners = mesh.vertices[mesh.faces]
    turn = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    assert ((turn * corners.mean(1)).sum(1) > 0).all()
    assert ((mesh.normals * mesh.vertices).sum(1) > 0).all()


def test_a_closed_box_has_its_volume():
    corners = box((5, 4, 3), (1, 2, 3), (1, 1, 1)).vertices.astype(float).reshape(-1, 3, 3)
    assert np.linalg.det(corners).sum() / 6 == pytest.approx(6.0, abs=1e-4)


def test_shading_is_smooth_over_flat_edges_and_hard_over_sharp_ones():
    ridge = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0.1], [1, 1, 0.1], [0, 2, 0], [1, 2, 0.0]])
    faces = np.array([[0, 1, 3], [0, 3, 2], [2, 3, 5], [2, 5, 4]])
    smooth, hard = shaded(ridge, faces, (1, 1, 1), crease=30), shaded(ridge, faces, (1, 1, 1), crease=5)
    assert len(smooth.vertices) == 6
    assert len(hard.vertices) == 8
    np.testing.assert_allclose(
        smooth.normals[smooth.vertices[:, 1] == 1], [[0, 0, 1]] * 2, atol=0.05
    )  # one side alone leans by 0.1


def test_a_lattice_has_holes_and_a_colour_per_cell():
    grid = np.stack(np.meshgrid(np.arange(3.0), np.arange(2.0)), -1)
    mesh = lattice(
        np.dstack([grid, np.zeros(grid.shape[:2])]), np.array([[[1, 0, 0], [0, 1, 0]]]), keep=np.array([[True, False]])
    )
    assert len(mesh.faces) == 2
    assert (mesh.colors == (1, 0, 0)).all()
    np.testing.assert_allclose(mesh.normals, [[0, 0, 1]] * len(mesh.normals))


def test_zero_shapes_give_the_empty_mesh():
    assert len(quads(np.zeros((0, 4, 3)), (1, 1, 1)).faces) == 0
