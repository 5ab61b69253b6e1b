"""`make fleet-demo`: ten recordings, one of them broken, two runs by two workers, a comparison, mined frames, a page.

The recordings are pieces of bags/demo_drive. The second run is of a model whose thresholds are half as high again, so
that the comparison has something to find.
"""

from __future__ import annotations

import json
import shutil
import sys
from html import escape
from pathlib import Path

from camera_perception.io.bag_reader import Bag
from camera_perception.io.bag_writer import BagWriter
from camera_perception.tools.fleet.compare.criteria import Verdict
from camera_perception.tools.fleet.compare.page import STYLE, compare_runs
from camera_perception.tools.fleet.mining.mine import Mining, mine
from camera_perception.tools.fleet.mining.signals import DEFAULT
from camera_perception.tools.fleet.status import status_text
from camera_perception.tools.fleet.store.query import compact
from camera_perception.tools.fleet.store.storage import open_storage
from camera_perception.tools.fleet.work.replay import Settings, replay_fleet
from camera_perception.tools.fleet.work.units import Job
from camera_perception.tools.models.shipped import shipped_model
from camera_perception.tools.replay.source import camera_name

PIECES = 10  # the last one is broken
CAREFUL = 1.5  # factor on all thresholds of the second model


def cut_drive(source: Path, out: Path, camera: str) -> Path:
    """Ten recordings of equal length from one; of the last, the second half is missing and its index with it."""
    if out.exists():
        return out
    part = out.with_name(f"{out.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    with Bag(source) as bag:
        start, end = bag.contents.start_ns, bag.contents.end_ns
        others = [topic for topic in bag.image_topics if camera_name(topic) != camera]
        topics = [topic for topic in bag.topics if topic not in others]
        known = [topic for topic in topics if topic.endswith(("camera_info", "tf_static"))]
        fixed = list({message.topic: message for message in bag.messages(known)}.values())
        for number in range(PIECES):
            low, high = (start + (end - start) * (number + step) // PIECES for step in (0, 1))
            with BagWriter(part / f"drive_{number:02d}") as writer:
                for topic in topics:
                    writer.add_topic(topic, bag.topics[topic], bag.contents.definitions.get(bag.topics[topic]))
                for message in fixed:
                    writer.write(message.topic, low, message.data)
                for message in bag.messages([topic for topic in topics if topic not in known], low):
                    if message.stamp_ns >= high:
                        break
                    writer.write(message.topic, message.stamp_ns, message.data)
    broken = next((part / f"drive_{PIECES - 1:02d}").glob("*.mcap"))
    broken.write_bytes(broken.read_bytes()[:64])
    part.rename(out)
    return out


def careful_model(model: Path, out: Path) -> Path:
    """A copy of a model folder with higher thresholds for objects."""
    if not out.exists():
        shutil.copytree(model, out, ignore=shutil.ignore_patterns("training", "checkpoints"))
        data = json.loads((out / "model.json").read_text("utf-8"))
        for head in data["outputs"]:
            if head["head"] == "objects":
                head["threshold"] = round(head.get("threshold", 0.4) * CAREFUL, 4)
                own = head.get("options", {}).get("thresholds", {})
                own.update({name: round(min(value * CAREFUL, 0.99), 4) for name, value in own.items()})
        (out / "model.json").write_text(json.dumps({**data, "name": f"{data['name']}-careful"}, indent=1), "utf-8")
    return out


def run_demo(source: Path, out: Path, ray: str | None) -> Path:
    """The page of the demo. Run again to resume."""
    model, job = shipped_model(), Job("", "onnxruntime")
    drives = cut_drive(source, out / "drives", "front")
    models = {"shipped": model, "careful": careful_model(model, out / "careful_model")}
    for name, folder in models.items():
        summary = replay_fleet([str(drives)], folder, str(out / name), job, Settings(2, ray))
        print(f"{name}: {summary.total} units, {summary.done} done, {summary.failed} failed, {summary.frames} images")
        compact(open_storage(out / name))
    before, after = (open_storage(out / name) for name in models)
    verdicts, _ = compare_runs(before, after, out / "compare", None, 8)
    if not (out / "hard/frames.csv").exists():
        mining = Mining((*DEFAULT, "disagree"), 12, 0.4, against=after)
        print(f"mined {len(mine(before, out / 'hard', mining))} frames")
    page = out / "index.html"
    page.write_text(_page(status_text(before), status_text(after), verdicts), "utf-8")
    return page


def _page(before: str, after: str, verdicts: list[Verdict]) -> str:
    broken = sum(bool(each.broken) for each in verdicts)
    parts = ["<h1>Data engine: ten recordings, two workers</h1>"]
    parts += [f"<h2>{name}</h2><pre>{escape(text)}</pre>" for name, text in (("Shipped", before), ("Careful", after))]
    text = f"{broken} of {len(verdicts)} criteria broken"
    parts.append(f"<h2>Comparison</h2><p>{text}: <a href='compare/index.html'>page</a></p>")
    parts.append("<h2>Mined frames</h2><p><a href='hard/frames.csv'>why each was chosen</a></p>")
    parts.append("<img src='hard/sheet.jpg'>")
    head = f"<meta charset='utf-8'><title>Data engine</title><style>{STYLE}</style>"
    return f"<!doctype html><html lang='en'>{head}{''.join(parts)}</html>"


if __name__ == "__main__":
    words = sys.argv[1:]
    print(run_demo(Path("bags/demo_drive"), Path("out/fleet_demo"), words[0] if words else None))
