"""Real images of the recipe: labelled by public detectors, cut out, credited."""

from __future__ import annotations

from pathlib import Path

from perception_models.experiments.demo.recipe import LABELLED, Echo, Recipe
from perception_models.training.distill.maps import label_maps


def label_real(recipe: Recipe, echo: Echo) -> None:
    """Label real images with public detectors, and collect the credits of their authors in the model folder."""
    from perception_models.data.curation.label import LabelConfig, label
    from perception_models.data.curation.road import DrivableNetwork, RoadTeacher
    from perception_models.data.curation.teachers import load_teachers

    teachers = load_teachers(recipe.teachers)
    second = DrivableNetwork(recipe.out) if (recipe.out / "model.json").is_file() else None  # of the last training
    for name, (source, widen, road) in LABELLED.items():
        echo(f"labelling {recipe.data / 'real' / name}")
        lanes = RoadTeacher(recipe.teachers / "road-segmentation-adas-0001.xml", second) if road else None
        label(recipe.pictures / source, recipe.data / "real" / name, teachers, LabelConfig(widen=widen), lanes)
    write_credits(recipe)


def cut_out(recipe: Recipe, echo: Echo) -> None:
    """Cut people and vehicles out of the labelled images, to be pasted into others."""
    from perception_models.data.curation.cutouts.cut import CutConfig, cut_all
    from perception_models.data.curation.cutouts.matting import PersonMatting

    network = PersonMatting(recipe.matting) if recipe.matting else None
    if network is None:
        echo(
            "cutting people out with GrabCut; with matting=pose_landmark_full.tflite there are more (docs/training.md)"
        )
    folders = [recipe.data / "real" / name for name in LABELLED]
    polygons = recipe.pictures / LABELLED["coco"][0]
    found, _ = cut_all(folders, recipe.data / "cutouts", CutConfig(polygons=polygons, matting=network))
    echo(f"{len(found)} cut-outs in {recipe.data / 'cutouts'}")


def write_credits(recipe: Recipe) -> None:
    """One CREDITS.csv for all real images that the model learned from."""
    files = [recipe.data / "real" / name / "CREDITS.csv" for name in LABELLED]
    rows = [line for path in files for line in path.read_text("utf-8").splitlines()[1:]]
    recipe.out.mkdir(parents=True, exist_ok=True)
    head = files[0].read_text("utf-8").splitlines()[0]
    (recipe.out / "CREDITS.csv").write_text("\n".join([head, *rows]) + "\n", "utf-8")


def complete_maps(recipe: Recipe, teachers: list[Path], echo: Echo) -> None:
    """Give the labelled images the masks that these checkpoints are sure of."""
    for name in LABELLED:
        echo(f"completing the masks of {recipe.data / 'real' / name}")
        label_maps(recipe.data / "real" / name, teachers)
