"""perception-models explain: pictures in, one sheet of evidence per picture and explain.json out."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from camera_perception.core.errors import BadImage, ModelError
from camera_perception.tools.replay.source import open_source
from perception_models.evaluation.explain.model import Looker, of_network, open_folder
from perception_models.evaluation.explain.occlusion import occlusion_maps
from perception_models.evaluation.explain.sanity import inside, left_without, likeness
from perception_models.evaluation.explain.sheet import sheet
from perception_models.evaluation.explain.target import Question, questions

Maps = Callable[[np.ndarray, list[Question]], np.ndarray]
Row = dict[str, Any]


def explain(
    model: Path, source: Path, out: Path, method: str = "auto", every: int = 1, most: int = 6, masks: int = 400
) -> Iterator[tuple[Path, list[Row]]]:
    """Explain every n-th picture of an image, folder, video or recording; yields each sheet with its rows.

    method  occlusion (any model), gradients (checkpoints), auto: gradients where possible
    most    objects per picture
    masks   looks per picture of occlusion
    """
    out.mkdir(parents=True, exist_ok=True)
    rows: list[Row] = []
    with _opened(model, method, masks) as (look, maps, random_maps):
        for number, arrival in enumerate(open_source(source).arrivals):
            if number % every == 0:
                picture = look.fitted(_read(arrival.read, source, number))
                path = out / f"{source.stem}_{number:05d}.png"
                found = _explain(look, maps, random_maps, picture, path, most)
                rows += [{"picture": path.name, **row} for row in found]
                (out / "explain.json").write_text(json.dumps(rows, indent=1), "utf-8")
                yield path, found


def _explain(
    look: Looker, maps: Maps, random_maps: Maps | None, picture: np.ndarray, path: Path, most: int
) -> list[Row]:
    asked = questions(look(picture), look.thresholds, look.spec.classes, picture.shape[1], most)
    if not asked:
        return []
    evidence = maps(picture, asked)
    cv2.imwrite(str(path), sheet(picture, asked, evidence))
    rows = [_row(look, picture, question, one) for question, one in zip(asked, evidence)]
    if random_maps is not None:
        for row, one, other in zip(rows, evidence, random_maps(picture, asked)):
            row["like_random_weights"] = round(likeness(one, other), 3)
    return rows


def _row(look: Looker, picture: np.ndarray, question: Question, evidence: np.ndarray) -> Row:
    left, elsewhere = left_without(look, picture, question, evidence)
    share = inside(question, evidence)
    return {
        "said": question.title,
        "kind": question.kind,
        "score": round(question.score, 3),
        "inside": None if math.isnan(share) else round(share, 3),
        "left_without_evidence": round(left, 3),
        "left_without_elsewhere": round(elsewhere, 3),
    }


@contextmanager
def _opened(model: Path, method: str, masks: int) -> Iterator[tuple[Looker, Maps, Maps | None]]:
    """The model, what makes its maps, and what makes those of a copy with random weights."""
    folder = (model / "model.json").is_file()
    if method not in ("auto", "occlusion", "gradients"):
        raise ModelError(f"method '{method}': expected auto, occlusion or gradients")
    if method == "gradients" and folder:
        raise ModelError(f"{model} is a model folder, which has no gradients: give its checkpoint, or take occlusion")
    if folder:
        with open_folder(model) as look:
            yield look, lambda picture, asked: occlusion_maps(look, picture, asked, masks), None
        return
    from perception_models.evaluation.explain.gradients import gradient_maps, with_random_weights
    from perception_models.training.checkpoint import load_network

    net, state = load_network(model)
    last = state["config"]["stages"][-1]
    look = of_network(net, (last["height"], last["width"]))
    if method == "occlusion":
        yield look, lambda picture, asked: occlusion_maps(look, picture, asked, masks), None
    else:
        blank = with_random_weights(net)
        yield look, lambda *given: gradient_maps(net, *given), lambda *given: gradient_maps(blank, *given)


def _read(read: Callable[[], np.ndarray], source: Path, number: int) -> np.ndarray:
    try:
        return read()
    except BadImage as error:
        raise BadImage(f"{source}, picture {number}: {error}") from error
