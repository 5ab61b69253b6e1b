"""Labels of common annotation tools, each in a small file as the tool writes it."""

import json

import cv2
import numpy as np
import pytest

from perception_models.data import DataError, open_dataset
from perception_models.data.curation.inspect import check, table
from perception_models.data.labels import LINE_COLORS, LINE_TYPES, OBJECTS, ClassNames
from perception_models.data.mix import open_mix
from perception_models.data.registry import find_datasets, kind_of
from perception_models.evaluation import evaluate
from perception_models.training.config import StageConfig
from perception_models.training.optimization.schedule import same_step

CAR, BUS, LIGHT = (OBJECTS.index(name) for name in ("car", "bus", "traffic light"))
SIZE = (72, 128)


def image(path, size=SIZE):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((*size, 3), 90, np.uint8))


def text(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")


def yolo(root):
    image(root / "images/train/a.jpg")
    text(root / "labels/train/a.txt", "0 0.25 0.5 0.25 0.5\n1 0.5 0.5 0.75 0.5 0.75 1.0\n")
    text(root / "data.yaml", "names: {0: Car, 1: bus}\ntrain: images/train\n")


def yolo_of_roboflow(root):
    image(root / "train/images/a_jpg.rf.0123.jpg")
    text(root / "train/labels/a_jpg.rf.0123.txt", "0 0.25 0.5 0.25 0.5\n1 0.625 0.75 0.25 0.5")
    text(root / "data.yaml", "names: ['car', 'bus']\ntrain: ../train/images\n")


def yolo_of_labelimg(root):
    image(root / "images/a.jpg")
    text(root / "labels/a.txt", "0 0.25 0.5 0.25 0.5\n1 0.625 0.75 0.25 0.5")
    text(root / "labels/classes.txt", "car\nbus\n")


def yolo_beside(root):
    """As labelImg writes it by default."""
    image(root / "a.jpg")
    text(root / "a.txt", "0 0.25 0.5 0.25 0.5\n1 0.625 0.75 0.25 0.5")
    text(root / "classes.txt", "car\nbus\n")


def yolo_of_cvat(root):
    """CVAT's export "YOLO 1.1", whose lists have the paths of its server."""
    image(root / "obj_train_data/sub/a.jpg")
    text(root / "obj_train_data/sub/a.txt", "0 0.25 0.5 0.25 0.5\n1 0.625 0.75 0.25 0.5")
    text(root / "obj.names", "car\nbus\n")
    text(root / "obj.data", "classes = 2\ntrain = data/train.txt\nnames = data/obj.names\nbackup = backup/\n")
    text(root / "train.txt", "data/obj_train_data/sub/a.jpg\n")


def yolo_with_list(root):
    yolo(root)
    image(root / "images/train/unlisted.jpg")
    text(root / "data.yaml", "names: {0: Car, 1: bus}\ntrain: train.txt\n")
    text(root / "train.txt", "./images/train/a.jpg\n")


def yolo_pose(root):
    """Two keypoints of two numbers each look like a polygon."""
    yolo(root)
    text(root / "data.yaml", "names: {0: Car, 1: bus}\ntrain: images/train\nkpt_shape: [2, 2]\n")
    rows = "0 0.25 0.5 0.25 0.5 0.9 0.9 0.1 0.1\n1 0.625 0.75 0.25 0.5 0 0 0 0\n"
    text(root / "labels/train/a.txt", rows)


VOC = """<annotation><filename>a.jpg</filename><size><width>128</width><height>72</height></size>
<object><name>car</name><difficult>0</difficult>
<bndbox><xmin>16</xmin><ymin>18</ymin><xmax>48</xmax><ymax>54</ymax></bndbox></object>
<object><name>BUS</name><difficult>1</difficult>
<bndbox><xmin>64</xmin><ymin>36</ymin><xmax>96</xmax><ymax>72</ymax></bndbox></object></annotation>"""


def voc(root):
    image(root / "JPEGImages/a.jpg")
    text(root / "Annotations/a.xml", VOC)


def labelme(root):
    image(root / "a.JPG")
    shapes = [
        {"label": "car", "shape_type": "rectangle", "points": [[48, 54], [16, 18]]},
        {"label": "bus", "shape_type": "polygon", "points": [[64, 36], [96, 36], [80, 72]]},
        {"label": "lamp", "shape_type": "point", "points": [[1, 1]]},
    ]
    document = {"shapes": shapes, "imagePath": "..\\x\\a.JPG", "imageHeight": 72, "imageWidth": 128}
    text(root / "a.json", "\ufeff" + json.dumps(document))


def label_studio(root):
    image(root / "images/a.jpg")
    results = [
        {
            "type": "rectanglelabels",
            "value": {**dict(zip(("x", "y", "width", "height"), sides)), "rectanglelabels": [n]},
        }
        for n, sides in (("car", (12.5, 25, 25, 50)), ("bus", (50, 50, 25, 50)))
    ]
    task = {"data": {"image": "/data/upload/1/0123abcd-a.jpg"}, "annotations": [{"result": results}]}
    text(root / "export.json", [task])


def label_studio_min(root):
    """JSON_MIN: a task is one annotation, and its regions have the name of the label's control."""
    image(root / "images/a.jpg")
    regions = [
        {
            **dict(zip(("x", "y", "width", "height"), sides)),
            "rotation": 0,
            "rectanglelabels": [n],
            "original_width": 128,
        }
        for n, sides in (("car", (12.5, 25, 25, 50)), ("bus", (50, 50, 25, 50)))
    ]
    task = {"weather": "sunny", "image": "/data/upload/1/0123abcd-a.jpg", "id": 1, "annotation_id": 5}
    text(root / "export.json", [{**task, "label": regions}, {**task, "annotation_id": 6, "label": regions[:1]}])


def label_studio_polygons(root):
    label_studio(root)
    tasks = json.loads((root / "export.json").read_text("utf-8"))
    points = [[50, 50], [75, 50], [60, 100]]
    tasks[0]["annotations"][0]["result"][1:] = [
        {"type": "polygonlabels", "value": {"points": points, "polygonlabels": ["bus"]}},
        {"type": "choices", "value": {"choices": ["sunny"]}},
    ]
    text(root / "export.json", tasks)


CVAT = """<annotations><meta><task><labels><label><name>car</name></label><label><name>bus</name></label>
<label><name>traffic_light</name></label><label><name>lane</name></label></labels></task></meta>
<image id="0" name="sub/a.jpg" width="128" height="72">
<box label="car" xtl="16" ytl="18" xbr="48" ybr="54" occluded="0"/>
<polygon label="bus" points="64,36;96,36;80,72"/>
<box label="traffic_light" xtl="1" ytl="1" xbr="5" ybr="9"><attribute name="trafficLightColor">Green</attribute></box>
<polyline label="lane" points="60,30;40,70"><attribute name="role">ego_left</attribute>
<attribute name="lineType">dashed</attribute><attribute name="lineColor">yellow</attribute></polyline>
</image></annotations>"""


def cvat(root):
    image(root / "images/sub/a.jpg")
    text(root / "annotations.xml", CVAT)


def roboflow_coco(root):
    image(root / "train/a_jpg.rf.0123.jpg")
    image(root / "valid/b_jpg.rf.4567.jpg")
    boxes = [(0, [16, 18, 32, 36]), (1, [64, 36, 32, 36])]
    for split, name in (("train", "a_jpg.rf.0123.jpg"), ("valid", "b_jpg.rf.4567.jpg")):
        labels = [{"id": i, "image_id": "7", "category_id": c, "bbox": box} for i, (c, box) in enumerate(boxes)]
        images = [{"id": 7, "file_name": name, "height": 72, "width": 128}]
        categories = [{"id": 0, "name": "Car"}, {"id": 1, "name": "bus"}]
        text(
            root / split / "_annotations.coco.json",
            {"images": images, "annotations": labels, "categories": categories},
        )


def coco_beside(root, folder="images", file="annotations.json"):
    """As many tools export it: one file beside the folder of images."""
    image(root / folder / "a.jpg")
    boxes = [(0, [16, 18, 32, 36]), (1, [64, 36, 32, 36])]
    labels = [{"id": i, "image_id": 7, "category_id": c, "bbox": box} for i, (c, box) in enumerate(boxes)]
    images = [{"id": 7, "file_name": "a.jpg", "height": 72, "width": 128}]
    categories = [{"id": 0, "name": "car"}, {"id": 1, "name": "bus"}]
    text(root / file, {"images": images, "annotations": labels, "categories": categories})


def coco_of_fiftyone(root):
    coco_beside(root, "data", "labels.json")


def voc_beside(root):
    """As labelImg writes it: each file beside its image."""
    image(root / "a.jpg")
    text(root / "a.xml", VOC)


def voc_of_kaggle(root):
    image(root / "images/a.jpg")
    text(root / "annotations/a.xml", VOC)


FORMATS = {
    "yolo": [yolo, yolo_of_roboflow, yolo_of_labelimg, yolo_beside, yolo_of_cvat, yolo_with_list, yolo_pose],
    "voc": [voc, voc_beside, voc_of_kaggle],
    "label_studio": [label_studio, label_studio_min, label_studio_polygons],
    "labelme": [labelme],
    "cvat": [cvat],
    "coco": [roboflow_coco, coco_beside, coco_of_fiftyone],
}


@pytest.mark.parametrize(("kind", "write"), [(kind, write) for kind, all_ in FORMATS.items() for write in all_])
def test_a_folder_of_each_tool_is_found_and_read(tmp_path, kind, write):
    write(tmp_path / "set")
    ((found, samples),) = find_datasets(tmp_path / "set", split="train").values()
    assert found == kind
    assert len(samples) == 1
    sample = samples[0]
    assert sample.boxes.classes.tolist()[:2] == [CAR, BUS]
    assert np.allclose(sample.boxes.boxes[:2], [[16, 18, 48, 54], [64, 36, 96, 72]])
    assert sample.boxes.ignored[:2].tolist() == [False, kind == "voc"]
    assert {CAR, BUS} <= sample.known_classes
    assert not table(*check(tmp_path / "set", split="train").values()).count("broken")


def test_an_export_of_label_studio_is_read(tmp_path):
    label_studio(tmp_path)
    assert kind_of(tmp_path / "export.json") == "label_studio"
    sample = open_dataset("label_studio", tmp_path / "export.json")[0]
    assert sample.boxes.classes.tolist() == [CAR, BUS]
    assert np.allclose(sample.boxes.boxes, [[16, 18, 48, 54], [64, 36, 96, 72]])


def test_cvat_has_lanes_and_lights(tmp_path):
    cvat(tmp_path)
    sample = open_dataset("cvat", tmp_path)[0]
    assert (sample.boxes.classes[2], sample.boxes.light_states[2]) == (LIGHT, 2)
    (line,) = sample.lanes.lines
    assert (line.position, LINE_TYPES[line.line_type], LINE_COLORS[line.line_color]) == (-1, "dashed", "yellow")
    assert line.points[0].tolist() == [40, 70]
    assert sample.lanes.labelled_positions == {-1}


def test_images_of_a_set_are_in_natural_order(tmp_path):
    for number in (1, 2, 10):
        image(tmp_path / f"JPEGImages/frame_{number}.jpg")
        text(tmp_path / f"Annotations/frame_{number}.xml", VOC.replace("a.jpg", f"frame_{number}.jpg"))
    assert open_dataset("voc", tmp_path).names == ["frame_1.jpg", "frame_2.jpg", "frame_10.jpg"]


def test_the_test_set_of_tusimple_is_read(tmp_path):
    image(tmp_path / "clips/0530/1/20.jpg")
    lanes = {"lanes": [[-2, 60, 40], [-2, 70, 90]], "h_samples": [20, 40, 60], "raw_file": "clips/0530/1/20.jpg"}
    text(tmp_path / "test_label.json", lanes)
    ((kind, samples),) = find_datasets(tmp_path).values()
    assert (kind, len(samples[0].lanes.lines)) == ("tusimple", 2)


def test_a_turned_box_of_cvat_becomes_the_upright_one_around_it(tmp_path):
    cvat(tmp_path)
    text(tmp_path / "annotations.xml", CVAT.replace('ybr="54"', 'ybr="54" rotation="90.0"'))
    assert np.allclose(open_dataset("cvat", tmp_path)[0].boxes.boxes[0], [14, 20, 50, 52])


def test_boxes_that_are_corners_where_coco_has_sizes_are_reported(tmp_path):
    label = {"id": 1, "image_id": 5, "category_id": 3, "bbox": [100, 18, 120, 54]}
    coco(tmp_path, [{"id": 5, "file_name": "a.png"}], [label])
    (counts,) = check(tmp_path).values()
    assert "1 boxes are outside the image" in counts.broken[0]


@pytest.mark.parametrize("split", ["train", "val"])
def test_coco_files_of_roboflow_are_chosen_by_split(tmp_path, split):
    roboflow_coco(tmp_path)
    ((_, samples),) = find_datasets(tmp_path, split=split).values()
    assert samples.names == [{"train": "a_jpg.rf.0123.jpg", "val": "b_jpg.rf.4567.jpg"}[split]]


def test_own_class_names_are_mapped_or_left_out(tmp_path):
    yolo(tmp_path)
    text(tmp_path / "data.yaml", "names: [Lieferwagen, dog]\ntrain: images/train\n")
    with pytest.raises(DataError, match=r"no class is among .*Lieferwagen, dog; give the option classes"):
        open_dataset("yolo", tmp_path)
    data = open_dataset("yolo", tmp_path, classes={"lieferwagen": "truck", "ignore": ["dog"]})
    assert data[0].boxes.classes.tolist() == [OBJECTS.index("truck")]
    assert data.others == []
    assert open_dataset("yolo", tmp_path, classes={"lieferwagen": "truck"}).others == ["dog"]
    with pytest.raises(ValueError, match="expected {name: one of pedestrian"):
        ClassNames({"van": "lorry"})


@pytest.mark.parametrize(
    ("write", "file", "content", "message"),
    [
        (yolo, "labels/train/a.txt", "0 16 18 48 54", "not within 0 and 1"),
        (yolo, "labels/train/a.txt", "7 0.5 0.5 0.1 0.1", "expected a class below 2"),
        (yolo, "labels/train/a.txt", "0 0.5 0.5", "expected class cx cy w h"),
        (voc, "Annotations/a.xml", VOC.replace("72</height>", "71</height>"), "128x72 pixels, but 128x71"),
        (voc, "Annotations/a.xml", "<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", "document type or entities"),
        (voc, "Annotations/a.xml", VOC.replace("bndbox", "box"), "without <bndbox>"),
        (labelme, "a.json", {"imagePath": "a.JPG", "shapes": [{"label": "car"}]}, "not in the expected form"),
    ],
)  # fmt: skip
def test_a_bad_label_file_is_named(tmp_path, write, file, content, message):
    write(tmp_path)
    text(tmp_path / file, content)
    (counts,) = check(tmp_path, split="train").values()
    assert message in counts.broken[0]
    assert all(len(sentence) <= 500 for sentence in counts.broken)


def test_labels_without_image_are_counted(tmp_path):
    voc(tmp_path)
    text(tmp_path / "Annotations/gone.xml", VOC.replace("a.jpg", "gone.jpg"))
    (counts,) = check(tmp_path).values()
    assert counts.images == 1
    assert "gone.jpg" in table(counts)


def test_label_files_of_yolo_without_image_are_counted(tmp_path):
    yolo_beside(tmp_path)
    text(tmp_path / "gone.txt", "0 0.25 0.5 0.25 0.5\n")
    (counts,) = check(tmp_path).values()
    assert [name.rpartition("/")[2] for name in counts.orphans] == ["gone.txt"]


def coco(root, images, labels):
    for each in images:
        image(root / "images" / each["file_name"])
    categories = [{"id": 2, "name": "traffic light"}, {"id": 3, "name": "car"}]
    text(root / "annotations/a.json", {"images": images, "annotations": labels, "categories": categories})
    return root / "annotations/a.json"


def test_coco_ids_may_be_text_or_numbers(tmp_path):
    label = {"id": 1, "image_id": "5", "category_id": "3", "bbox": [1, 2, 3, 4]}
    data = open_dataset("coco", coco(tmp_path, [{"id": 5, "file_name": "a.png"}], [label]))
    assert data[0].boxes.classes.tolist() == [CAR]


@pytest.mark.parametrize("where", ["attributes", "the label"])
def test_coco_has_the_state_of_a_light_among_its_attributes_or_as_a_key_of_the_label(tmp_path, where):
    state = {"trafficLightColor": "green"}
    label = {"id": 1, "image_id": 5, "category_id": 2, "bbox": [3, 4, 6, 16]}
    label |= {"attributes": state} if where == "attributes" else state
    sample = open_dataset("coco", coco(tmp_path, [{"id": 5, "file_name": "a.png"}], [label]))[0]
    assert (sample.boxes.classes.tolist(), sample.boxes.light_states.tolist()) == ([LIGHT], [2])


def test_coco_images_with_the_same_id_are_an_error(tmp_path):
    path = coco(tmp_path, [{"id": 5, "file_name": "a.png"}, {"id": 5, "file_name": "b.png"}], [])
    with pytest.raises(DataError, match="such as 5 for a.png and b.png; give each image its own id"):
        open_dataset("coco", path)


def test_coco_annotations_of_no_image_are_counted_or_an_error(tmp_path, caplog):
    known, lost = ({"id": 1, "image_id": n, "category_id": 3, "bbox": [1, 2, 3, 4]} for n in (5, 6))
    path = coco(tmp_path, [{"id": 5, "file_name": "a.png"}], [known, lost, lost])
    assert "2 annotations of image_id 6" in table(*check(path).values())
    open_mix([{"kind": "coco", "path": path}])
    assert "1 labels without image, such as 2 annotations of image_id 6" in caplog.text
    coco(tmp_path, [{"id": 5, "file_name": "a.png"}], [lost])
    with pytest.raises(DataError, match="no annotation has the id of an image"):
        open_dataset("coco", path)


def test_folders_without_known_labels_fail_with_what_was_looked_for(tmp_path):
    image(tmp_path / "set/images/a.jpg")
    text(tmp_path / "set/labels/tagging/a.json", [])
    (counts,) = check(tmp_path / "set").values()
    assert "no labels read; looked for labels/det_20/det.json" in counts.broken[0]
    assert "found labels/tagging" in counts.broken[0]
    with pytest.raises(DataError, match="no labels read"):
        evaluate("no model", [tmp_path / "set"], tmp_path / "out")
    text(tmp_path / "set/labels/det_20/det.json", [{"name": "a.jpg", "labels": []}])
    (counts,) = check(tmp_path / "set").values()
    assert not counts.broken
    assert "unknown label folders: labels/tagging" in table(counts)


def test_images_turned_by_exif_are_named(tmp_path):
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = 6
    (tmp_path / "images").mkdir()
    Image.new("RGB", (128, 72)).save(tmp_path / "images/a.jpg", exif=exif)
    text(tmp_path / "labels/det_20/det.json", [{"name": "a.jpg", "labels": []}])
    assert "1 images are turned by EXIF" in table(*check(tmp_path).values())


def names_of(mix):
    return {mix[0, index].name for index in range(len(mix))}


@pytest.mark.parametrize("cache", [True, False])
def test_one_bad_sample_of_many_is_skipped(tmp_path, caplog, cache):
    for number in range(60):
        image(tmp_path / f"images/{number:02}.png", (8, 8))
    text(tmp_path / "labels/det_20/det.json", [{"name": "00.png", "labels": []}])
    (tmp_path / "images/07.png").write_bytes(b"no image")
    mix = open_mix([{"kind": "labelled", "path": tmp_path}], tmp_path / "cache" if cache else None)
    assert names_of(mix) == {f"{n:02}.png" for n in range(60)} - {"07.png"}
    assert caplog.text.count("07.png") == 1
    (tmp_path / "images/08.png").write_bytes(b"no image")
    with pytest.raises(DataError, match="more than 1 of 60 samples are unusable; run check-data"):
        names_of(open_mix([{"kind": "labelled", "path": tmp_path}], tmp_path / "cache" if cache else None))


def test_labelled_lines_beside_the_ego_lane_count(tmp_path):
    image(tmp_path / "images/a.png")
    line = {"poly2d": [{"vertices": [[60, 30], [50, 50]]}]}
    labels = [{**line, "attributes": {"role": role}} for role in ("ego_left", "left_2", "other")]
    text(tmp_path / "labels/lane/lane.json", [{"name": "a.png", "labels": labels}])
    assert open_dataset("labelled", tmp_path)[0].lanes.labelled_positions == {-2, -1, 1}


@pytest.mark.parametrize(
    ("number", "before", "now", "expected"), [(10, 1, 2, 5), (5, 2, 1, 10), (7, 3, 3, 7), (3, 1, 4, 1), (20, 1, 2, 10)]
)
def test_a_run_continues_on_another_number_of_devices_with_as_many_views(number, before, now, expected):
    stages = [StageConfig(views=80, height=64, width=64, batch=4)]
    assert same_step(number, stages, before, now) == expected
