"""python -m perception_models.render.assets --out sheet.png [--only car] [--count 4] [--detail 1]"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import typer

from perception_models.render.assets import ASSETS
from perception_models.render.assets.preview import picture


def sheet(
    out: Annotated[Path, typer.Option(help="PNG to write")] = Path("sheet.png"),
    only: Annotated[str, typer.Option(help="names of assets, separated by commas; empty for all")] = "",
    count: Annotated[int, typer.Option(help="how many of each")] = 2,
    detail: Annotated[int, typer.Option(help="1 near, 0 far")] = 1,
    seed: Annotated[int, typer.Option(help="first seed")] = 0,
    size: Annotated[int, typer.Option(help="pixels of one picture")] = 200,
) -> None:
    """Draw every asset from behind, at an angle, from the side and from the front."""
    rows = []
    for name in only.split(",") if only else ASSETS:
        for number in range(count):
            whole = ASSETS[name](np.random.default_rng(seed + number), detail=detail).whole()
            views = [picture(whole, azimuth, size) for azimuth in (180, 150, -90, -25)]
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
