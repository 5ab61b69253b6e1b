"""People made of MakeHuman bodies: plausible, always the same, on the ground or on their vehicle."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from driving_scenes.assets import ASSETS
from driving_scenes.assets.people import person_pool
from driving_scenes.assets.people.person_pool import CACHE, SHARED, SOURCE, pooled, ride_of, source

DATA = Path(__file__).parents[3] / SHARED
SOME = [0, 1, 2]
needs_data = pytest.mark.skipif(not DATA.is_file(), reason=f"needs {SHARED} beside the repository")


@pytest.fixture
def people(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Real people, kept in one folder for all tests."""
    monkeypatch.setenv(SOURCE, str(DATA))
    monkeypatch.setenv(CACHE, str(tmp_path_factory.getbasetemp() / "people"))
    source.cache_clear()
    yield
    source.cache_clear()


@needs_data
@pytest.mark.parametrize("variant", SOME)
def test_a_person_stands_on_the_ground_with_a_plausible_height(people: None, variant: int) -> None:
    mesh = pooled("pedestrian", variant, 2)
    low, high = mesh.vertices.min(0), mesh.vertices.max(0)
    assert abs(low[2]) < 1e-3
    assert 0.9 < high[2] < 2.2
    assert np.abs((low + high)[:2]).max() < 1e-3
    np.testing.assert_allclose(np.linalg.norm(mesh.normals, axis=1), 1, atol=0.02)


@needs_data
@pytest.mark.parametrize("variant", SOME)
def test_far_versions_have_fewer_triangles_in_the_same_place(people: None, variant: int) -> None:
    far, middle, near = (pooled("pedestrian", variant, detail) for detail in range(3))
    assert 4 * len(far.faces) < 2.5 * len(middle.faces) < len(near.faces) < 20_000
    np.testing.assert_allclose(np.ptp(far.vertices, 0), np.ptp(near.vertices, 0), atol=0.12)
    np.testing.assert_allclose(far.colors.mean(0), near.colors.mean(0), atol=0.12)


@needs_data
def test_a_person_is_the_same_whenever_it_is_made(people: None) -> None:
    kept, made = pooled("pedestrian", 0, 1), person_pool.at_levels(person_pool.on_foot(0), grounded=True)[1]
    np.testing.assert_allclose(kept.vertices, made.vertices, atol=1e-6)
    assert (kept.faces == made.faces).all()
    assert len(pooled("pedestrian", 1, 1).vertices) != len(made.vertices)


@needs_data
@pytest.mark.parametrize("vehicle", ["bicycle", "motorcycle"])
def test_a_rider_holds_the_grips_and_stands_on_the_pegs(people: None, vehicle: str) -> None:
    ride, body = ride_of(vehicle, 0), pooled(vehicle, 0, 2).vertices
    for point, within in [*((grip, 0.08) for grip in ride.grips), *((peg, 0.12) for peg in ride.pegs)]:
        assert np.linalg.norm(body - point, axis=1).min() < within
    assert np.linalg.norm(body - ride.seat, axis=1).min() < 0.15


def test_without_the_data_simple_figures_serve(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(SOURCE, "nowhere.npz")
    source.cache_clear()
    with caplog.at_level(logging.WARNING):
        made = [ASSETS[name](np.random.default_rng(k)) for k in range(2) for name in ("pedestrian", "rider")]
    source.cache_clear()
    assert all(len(asset.mesh.faces) < 1500 for asset in made)
    assert [SOURCE in record.message for record in caplog.records] == [True]
