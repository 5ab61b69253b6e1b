"""Figures of a run per drive and per slice, without labels: each is a symptom that has a good and a bad direction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from camera_perception.tools.fleet.store.query import connect
from camera_perception.tools.fleet.store.storage import Storage

BRIEF = 3  # detections; a track with fewer counts as flicker
HEIGHTS = {"car": 1.5, "pedestrian": 1.7, "rider": 1.7, "truck": 3.2, "bus": 3.1}  # metres, typical


@dataclass(frozen=True)
class Figure:
    """One figure: `better` is 1 where more is better, -1 where less is, 0 where neither is."""

    name: str
    better: int
    text: str


FIGURES = (
    Figure("undecodable", -1, "fraction of images that could not be decoded"),
    Figure("objects", 0, "reported objects per image"),
    Figure("score", 0, "mean score of reported objects"),
    Figure(
        "flicker",
        -1,
        f"fraction of tracks with fewer than {BRIEF} detections; brief ones at the drive's ends do not count",
    ),
    Figure("coasted", -1, "fraction of reported objects that the tracker predicted"),
    Figure("ego_lane", 1, "fraction of images with both lines of the ego lane"),
    Figure("det_seg", -1, "mean disagreement of boxes and segmentation"),
    Figure("height_error", -1, "median |log(height / typical height)| of objects with a position"),
)
SLICES = ("recording", "camera", "weather", "scene", "timeofday", "speed")

_TALL = " ".join(f"when class_name = '{name}' then {height}" for name, height in HEIGHTS.items())
# Standing; to 30 km/h; to 60 km/h; to 100 km/h.
_SPEED = """case when f.speed_mps is null then 'unknown' when f.speed_mps < 0.5 then 'standing'
  when f.speed_mps < 8.3 then 'below 30 km/h' when f.speed_mps < 16.7 then '30 to 60 km/h'
  when f.speed_mps < 27.8 then '60 to 100 km/h' else 'above 100 km/h' end"""
_PREPARE = f"""
create temp table image as
select f.unit, f.recording_id, f.recording, f.camera, f.frame, coalesce(f.weather, 'unknown') weather,
  coalesce(f.scene, 'unknown') scene, coalesce(f.timeofday, 'unknown') timeofday, {_SPEED} speed,
  (f.error != '')::int as undecodable,
  coalesce(f.objects, 0) objects, f.det_seg,
  coalesce(l.pair, 0) ego_lane
from frames f left join (
  select unit, camera, frame, (count(distinct position) = 2)::int as pair from lanes
  where position in (-1, 1) group by all
) l using (unit, camera, frame);
create temp table span as select unit, camera, min(frame) low, max(frame) high from frames group by all;
create temp table track as
select unit, camera, track_id, min(o.frame) as frame, (count(*) filter (not coasted) < {BRIEF})::int as brief
from objects o join span s using (unit, camera) where reported and track_id > 0 group by unit, camera, track_id
having count(*) filter (not coasted) >= {BRIEF}
  or (min(o.frame) > any_value(low) and max(o.frame) < any_value(high));
create temp table thing as
select unit, camera, frame, score, coasted::int as coasted,
  abs(ln(height_m / (case {_TALL} end))) height_error
from objects where reported;
"""


def figures(storage: Storage) -> dict[str, dict[str, dict[str, float]]]:
    """slice, such as "weather": value, such as "rainy": {"images": count, figure: value}; figures without data lack.

    The slice "all" has the value "all".
    """
    connection = connect(storage)
    connection.execute(_PREPARE)
    out = {name: _slice(connection, name) for name in SLICES}
    out["all"] = _slice(connection, "'all'")
    connection.close()
    return out


def _slice(connection: Any, column: str) -> dict[str, dict[str, float]]:
    rows: dict[str, dict[str, float]] = {}
    per_image = "avg(undecodable) undecodable, avg(objects) objects, avg(ego_lane) ego_lane, avg(det_seg) det_seg"
    named = column if column.startswith("'") else f"i.{column}"
    for sql in (
        f"select {named} part, count(*) images, {per_image} from image i group by 1",
        f"select {named} part, avg(brief) flicker from track join image i using (unit, camera, frame) group by 1",
        f"select {named} part, avg(score) score, avg(coasted) coasted, median(height_error) height_error "
        "from thing join image i using (unit, camera, frame) group by 1",
    ):
        result = connection.execute(sql)
        names = [each[0] for each in result.description][1:]
        for part, *values in result.fetchall():
            found = {name: float(value) for name, value in zip(names, values) if value is not None}
            rows.setdefault(str(part), {}).update(found)
    return rows
