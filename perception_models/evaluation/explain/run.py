"""perception-models explain: a sheet of evidence maps per image and explain.json."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from camera_perception.core.errors import BadImage, ModelError
from camera_perception.tools.replay.source import open_source
from perception_models.evaluation.explain.model import LOW_SCORES, content, fit_to_input, network_predictor
from perception_models.evaluation.explain.occlusion import occlusion_maps
from perception_models.evaluation.explain.sanity import fraction_inside, rank_correlation, scores_after_deletion
from perception_models.evaluation.explain.sheet import sheet
from perception_models.evaluation.explain.target import Target, find_targets
from perception_models.evaluation.model import Predictor, open_model

METHODS = ("auto", "occlusion", "gradients")
Maps = Callable[[np.ndarray, list[Target]], np.ndarray]
Row = dict[str, Any]


@dataclass(frozen=True)
class Explainer:
    """A predictor, the method that makes its maps, and the same method for a copy with random weights."""

    predictor: Predictor
    maps: Maps
    random_maps: Maps | None = None


def explain(
    model: Path, source: Path, out: Path, method: str = "auto", every: int = 1, objects: int = 6, masks: int = 400
) -> Iterator[tuple[Path, list[Row]]]:
    """Explain every n-th frame of an image, folder, video or recording; yields each sheet with its rows.

    method   occlusion (any model), gradients (checkpoints), auto: gradients if possible
    objects  maximum per image, the most confident ones
    masks    per image, for occlusion
    """
    out.mkdir(parents=True, exist_ok=True)
    rows: list[Row] = []
    with _open(model, method, masks) as explainer:
        for number, arrival in enumerate(open_source(source).arrivals):
            if number % every == 0:
                pixels, spec = _read(arrival.read, source, number), explainer.predictor.spec.input
                path = out / f"{source.stem}_{number:05d}.png"
                found = _explain(explainer, fit_to_input(pixels, spec), content(pixels, spec), path, objects)
                rows += [{"picture": path.name, **row} for row in found]
                (out / "explain.json").write_text(json.dumps(rows, indent=1), "utf-8")
                yield path, found


def _explain(
    explainer: Explainer, image: np.ndarray, shown: tuple[slice, slice], path: Path, objects: int
) -> list[Row]:
    """The rows of one image, and its sheet, on which only the rows and columns `shown` are drawn."""
    predictor = explainer.predictor
    thresholds = {head: predictor.threshold(head) for head in ("objects", "lanes")}
    targets = find_targets(predictor(image), thresholds, predictor.spec.classes, image.shape[1], objects)
    if not targets:
        return []
    maps = explainer.maps(image, targets)
    cv2.imwrite(str(path), sheet(image, targets, maps, shown))
    rows = [_row(predictor, image, target, evidence) for target, evidence in zip(targets, maps)]
    if explainer.random_maps is not None:
        for row, evidence, random in zip(rows, maps, explainer.random_maps(image, targets)):
            row["like_random_weights"] = round(rank_correlation(evidence, random), 3)
    return rows


def _row(predictor: Predictor, image: np.ndarray, target: Target, evidence: np.ndarray) -> Row:
    left, elsewhere = scores_after_deletion(predictor, image, target, evidence)
    inside = fraction_inside(target, evidence)
    return {
        "said": target.title,
        "kind": target.type,
        "score": round(target.score, 3),
        "inside": None if math.isnan(inside) else round(inside, 3),
        "left_without_evidence": round(left, 3),
        "left_without_elsewhere": round(elsewhere, 3),
    }


@contextmanager
def _open(model: Path, method: str, masks: int) -> Iterator[Explainer]:
    if method not in METHODS:
        raise ModelError(f"method '{method}': expected auto, occlusion or gradients")
    if (model / "model.json").is_file():
        if method == "gradients":
            raise ModelError(f"{model} is a model folder without gradients: give its checkpoint, or use occlusion")
        with open_model(model, min_scores=LOW_SCORES) as predictor:
            yield _by_occlusion(predictor, masks)
        return
    from perception_models.evaluation.explain.gradients import gradient_maps, with_random_weights
    from perception_models.export.export import trained_size
    from perception_models.training.checkpoint import load_network

    net, state = load_network(model)
    predictor = network_predictor(net, trained_size(state))
    if method == "occlusion":
        yield _by_occlusion(predictor, masks)
    else:
        random = with_random_weights(net)
        yield Explainer(
            predictor,
            lambda image, targets: gradient_maps(net, image, targets),
            lambda image, targets: gradient_maps(random, image, targets),
        )


def _by_occlusion(predictor: Predictor, masks: int) -> Explainer:
    return Explainer(predictor, lambda image, targets: occlusion_maps(predictor, image, targets, masks))


def _read(read: Callable[[], np.ndarray], source: Path, number: int) -> np.ndarray:
    try:
        return read()
    except BadImage as error:
        raise BadImage(f"{source}, image {number}: {error}") from error
