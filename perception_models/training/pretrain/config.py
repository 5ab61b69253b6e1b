"""The words that make a training a pretraining."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from perception_models.training.pretrain.frames import entries

HIDDEN = 0.6  # of each picture, as in SparK
# Noise, blur and weather cannot be foretold from the neighbourhood: they would only teach the network to be vague.
UNFORESEEABLE = ("blur", "noise", "jpeg", "coarse", "fog", "rain", "shadow", "glare", "mosaic", "paste_lights")


def pretrain_words(sources: Sequence[Path], out: Path, period: float) -> list[str]:
    """key=value words for `train`; frames of videos and recordings are written to out/pictures."""
    return [
        f"data.train={json.dumps(entries(sources, out / 'pictures', period))}",
        "data.val=[]",
        "data.lights=null",
        *(f"data.augment.{name}=0.0" for name in UNFORESEEABLE),
        "balance.method=fixed",
        "network.tasks=[]",
        f"pretrain.hidden={HIDDEN}",
    ]
