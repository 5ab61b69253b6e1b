"""check-data: counts, broken files, a sheet."""

import json

import cv2
import numpy as np

from perception_models.data.curation.inspect import check, table
from perception_models.data.drawing import draw_text, tile


def test_a_folder_is_counted_its_broken_file_named_and_a_sheet_drawn(tmp_path):
    folder = tmp_path / "drive"
    (folder / "images").mkdir(parents=True)
    (folder / "labels/drivable/masks").mkdir(parents=True)
    (folder / "labels/det_20").mkdir()
    for i in range(3):
        cv2.imwrite(str(folder / f"images/{i}.png"), np.full((54, 96, 3), 60, np.uint8))
    mask = np.zeros((54, 96), np.uint8)
    mask[27:] = 1
    cv2.imwrite(str(folder / "labels/drivable/masks/0.png"), mask)
    (folder / "images/2.png").write_bytes(b"cut off")
    light = {"category": "traffic light", "attributes": {"trafficLightColor": "red"}}
    box = {"x1": 1, "y1": 2, "x2": 11, "y2": 22}
    frame = {"name": "0.png", "attributes": {"weather": "foggy"}, "labels": [{**light, "box2d": box}]}
    (folder / "labels/det_20/det.json").write_text(json.dumps([frame]))

    counts = check(tmp_path, tmp_path / "out")["drive"]

    assert (counts.images, counts.sizes, counts.labelled["boxes"]) == (2, {"96x54": 2}, 1)
    assert (counts.objects, counts.light_states) == ({"traffic light": 1}, {"red": 1})
    assert counts.drivable["road"] == counts.drivable["background"] == 27 * 96
    assert counts.scene["weather"] == {"foggy": 1, "not labelled": 1}
    assert len(counts.broken) == 1
    assert "2.png" in counts.broken[0]
    text = table(counts)
    assert "traffic light 1" in text
    assert "2.png" in text
    assert json.loads((tmp_path / "out/counts.json").read_text())["drive"]["images"] == 2
    assert cv2.imread(str(tmp_path / "out/drive.png")).shape[2] == 3


def test_text_on_large_images_is_legible_on_the_contact_sheet():
    image = np.zeros((720, 1280, 3), np.uint8)
    draw_text(image, ["weather: rainy"])
    rows = np.flatnonzero((tile([image], 1, (270, 480)) > 150).any((1, 2)))
    assert np.ptp(rows) >= 7
