"""Cache, mix, sampler and target dataset: what training reads."""

import cv2
import numpy as np
import pytest

from perception_models.data import AugmentConfig, DataError, Lane, Lanes, Sample, Sampler, TargetDataset, open_mix
from perception_models.data.cache import Cached, cached
from perception_models.data.mix import LabelSubset, Mix, Repeated, proportional_counts, repeat_factors
from perception_models.data.registry import KINDS, open_dataset
from perception_models.data.sample import Boxes


class Memory:
    """A data set of coloured images with all labels."""

    files = ()

    def __init__(self, count=3, size=(60, 100)):
        self.names = [f"{i}.png" for i in range(count)]
        self.size, self.reads = size, 0

    def __len__(self):
        return len(self.names)

    def __getitem__(self, i):
        self.reads += 1
        return Sample(
            self.names[i],
            np.full((*self.size, 3), 20 * i, np.uint8),
            Boxes([[10, 20, 30, 40]], [8], [False], [2]) if i else Boxes.empty(),
            Lanes([Lane([[5, 50], [9, 10]], 1, 2, 3)], frozenset({-1, 1})),
            np.full(self.size, 1, np.uint8),
            None,
            {"weather": i},
            np.diag([100.0, 100, 1]),
            np.eye(4),
            {"timeofday": "night"},
        )


def test_a_cached_sample_is_the_sample(tmp_path):
    source = Memory()
    copy = cached(source, tmp_path, (60, 100))
    assert copy.names == source.names
    for i in range(3):
        expected, got = source[i], copy[i]
        np.testing.assert_array_equal(got.image, expected.image)
        np.testing.assert_array_equal(got.drivable, expected.drivable)
        np.testing.assert_array_equal(got.boxes.boxes, expected.boxes.boxes)
        np.testing.assert_array_equal(got.boxes.light_states, expected.boxes.light_states)
        np.testing.assert_array_equal(got.lanes.lines[0].points, expected.lanes.lines[0].points)
        np.testing.assert_array_equal(got.intrinsics, expected.intrinsics)
        assert vars(got.lanes.lines[0]).keys() == vars(expected.lanes.lines[0]).keys()
        assert got.lanes.labelled_positions == {-1, 1}
        assert got.semantic is None
        assert (got.scene, got.attributes) == (expected.scene, expected.attributes)


def test_large_images_are_downscaled_with_their_labels_and_small_ones_kept(tmp_path):
    assert cached(Memory(), tmp_path, (30, 80))[1].size == (30, 50)
    np.testing.assert_allclose(cached(Memory(), tmp_path, (30, 80))[1].boxes.boxes, [[5, 10, 15, 20]])
    assert cached(Memory(), tmp_path, (300, 800))[0].size == (60, 100)


def test_a_cache_is_reused_until_a_file_changes(tmp_path):
    source, label = Memory(), tmp_path / "label.json"
    label.write_text("1")
    source.files = [label]
    cached(source, tmp_path / "c", (60, 100))
    cached(source, tmp_path / "c", (60, 100))
    assert source.reads == 3
    label.write_text("22")
    cached(source, tmp_path / "c", (60, 100))
    assert source.reads == 6


def test_an_unfinished_cache_is_not_used(tmp_path):
    class Breaks(Memory):
        def __getitem__(self, i):
            if i == 2 and not self.reads > 2:
                raise DataError("broken.png: no image")
            return super().__getitem__(i)

    source = Breaks()
    with pytest.raises(DataError, match="broken.png"):
        cached(source, tmp_path, (60, 100))
    assert not [p for p in tmp_path.iterdir() if p.is_dir() and p.suffix != ".part"]
    source.reads = 3
    assert len(cached(source, tmp_path, (60, 100))) == 3


def test_writing_into_a_cached_sample_does_not_change_the_cache(tmp_path):
    copy = cached(Memory(), tmp_path, (60, 100))
    copy[1].image[:] = 255
    assert Cached(copy.path)[1].image.max() == 20


@pytest.mark.parametrize(
    ("weights", "total", "expected"), [([1, 1], 3, [2, 1]), ([0.7, 0.2, 0.1], 10, [7, 2, 1]), ([0, 5], 4, [0, 4])]
)
def test_proportional_counts_are_integers_that_sum_to_the_total(weights, total, expected):
    assert proportional_counts(np.array(weights, float), total).tolist() == expected


def mix(*counts, weights):
    return Mix(tuple(Memory(c) for c in counts), tuple(weights))


def test_every_image_is_drawn_before_any_is_repeated():
    order = Sampler(mix(5, 3, weights=(2, 1)), 6)
    seen = [key for _ in range(5) for key in order]  # 20 of part 0, 10 of part 1
    for part, size, times in ((0, 5, 4), (1, 3, 3)):
        counts = np.bincount([index for _, _, p, index in seen if p == part], minlength=size)
        assert set(counts) <= {times, times + 1}


def test_ranks_divide_an_epoch_without_overlap():
    whole = list(Sampler(mix(8, weights=(1,)), 8))
    halves = [list(Sampler(mix(8, weights=(1,)), 8, rank=rank, world=2)) for rank in (0, 1)]
    assert sorted(halves[0] + halves[1]) == sorted(whole)


def test_a_sampler_resumes_where_it_stopped():
    parts = mix(7, 4, weights=(1, 2))
    whole = Sampler(parts, 10, seed=3)
    expected = [key for _ in range(3) for key in whole]
    stopped = Sampler(parts, 10, seed=3)
    stopped.epoch, stopped.position = 1, 4
    assert list(stopped) + list(stopped) == expected[14:]
    assert (stopped.epoch, stopped.position) == (3, 0)


def test_targets_depend_on_their_key_alone():
    items = TargetDataset(mix(3, weights=(1,)), (64, 128), AugmentConfig(mosaic=0.5), seed=1)
    first = items[0, 5, 0, 1]
    items[0, 6, 0, 2]
    again = TargetDataset(mix(3, weights=(1,)), (64, 128), AugmentConfig(mosaic=0.5), seed=1)[0, 5, 0, 1]
    assert all(np.array_equal(first[name], again[name], equal_nan=first[name].dtype.kind == "f") for name in first)
    assert not np.array_equal(first["images"], items[1, 5, 0, 1]["images"])


def test_a_label_subset_drops_the_other_labels():
    out = LabelSubset(Memory(), ("boxes",))[1]
    assert out.boxes is not None
    assert (out.lanes, out.drivable, out.scene) == (None, None, {})
    with pytest.raises(DataError, match="boxs"):
        LabelSubset(Memory(), ("boxs",))


def write_labelled(folder):
    (folder / "images").mkdir(parents=True)
    for i in range(2):
        cv2.imwrite(str(folder / "images" / f"{i}.png"), np.zeros((64, 128, 3), np.uint8))
    return folder


def test_a_mix_is_opened_from_a_configuration(tmp_path):
    entry = {"kind": "labelled", "path": write_labelled(tmp_path / "d"), "include": ["1*"], "only": ["boxes"]}
    opened = open_mix([entry, {**entry, "include": [], "weight": 0.5}], cache_dir=tmp_path / "cache")
    assert [len(part) for part in opened.parts] == [1, 2]
    assert opened.weights == (1.0, 0.5)


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ([], "empty"),
        ([{"kind": "labeled", "path": "x"}], "labelled"),
        ([{"kind": "labelled"}], "path"),
        ([{"kind": "labelled", "path": "nowhere"}], "nowhere"),
        ([{"kind": "labelled", "path": "nowhere", "colour": 1}], "colour"),
    ],
)
def test_an_invalid_configuration_names_the_problem(entries, words):
    with pytest.raises(DataError, match=words):
        open_mix(entries)


@pytest.mark.parametrize("kind", KINDS)
def test_every_reader_names_a_missing_folder(kind, tmp_path):
    with pytest.raises(DataError, match="missing"):
        open_dataset(kind, tmp_path / "missing")


def test_images_of_rare_classes_are_drawn_more_often():
    presence = np.zeros((100, 10), bool)
    presence[:, 2] = True  # cars everywhere
    presence[:4, 1] = True  # riders in four
    presence[2:36, 4] = True  # buses in a third
    factors = repeat_factors(presence, 0.36)
    np.testing.assert_allclose(factors[:4], 3)  # sqrt(0.36 / 0.04), also of those with a bus: the rarest counts
    np.testing.assert_allclose(factors[4:36], np.sqrt(0.36 / 0.34))
    np.testing.assert_allclose(factors[36:], 1)


def test_a_repeated_data_set_holds_only_its_own_images():
    source = Memory(count=8)  # the first has no boxes, seven have a light
    repeated = Repeated(source, 1.0)
    assert set(repeated.names) == set(source.names)
    assert [repeated[i].name for i in range(len(repeated))] == repeated.names
    assert len(Repeated(source, 0.5)) == len(source)
    with pytest.raises(DataError, match="repeat=2"):
        Repeated(source, 2)
