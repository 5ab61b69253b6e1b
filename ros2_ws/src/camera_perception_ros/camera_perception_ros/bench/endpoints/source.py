"""Process that plays cameras at a fixed rate, in turn, and writes the stamps of the sent images."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated

import rclpy
import typer
from rclpy.node import Node
from rclpy.publisher import Publisher
from sensor_msgs.msg import CameraInfo, Image

from camera_perception_ros.bench.endpoints.images import SentImages, camera_info
from camera_perception_ros.bench.names import CAMERA

app = typer.Typer(add_completion=False)


@app.command()
def source(
    topics: list[str],
    rate: Annotated[float, typer.Option(help="Images per second and topic.")],
    seconds: Annotated[float, typer.Option(help="Duration in seconds.")],
    out: Annotated[Path, typer.Option(help="JSON file for the stamps (ns) by topic.")],
    images: Annotated[
        Path | None, typer.Option(help="Recording, video or image folder; default: synthetic images.")
    ] = None,
) -> None:
    """Publish images at a fixed rate for a given time."""
    images_out = SentImages(images)
    rclpy.init()
    node = Node("bench_source", start_parameter_services=False)
    publishers = {topic: node.create_publisher(Image, topic, CAMERA) for topic in topics}
    infos = [node.create_publisher(CameraInfo, topic.rpartition("/")[0] + "/camera_info", CAMERA) for topic in topics]
    wait_for_subscribers(list(publishers.values()))
    for publisher in infos:
        publisher.publish(camera_info())
    sent = send(publishers, images_out, rate, seconds)
    out.write_text(json.dumps(sent), "utf-8")
    time.sleep(0.5)  # the last image is still on its way
    node.destroy_node()
    rclpy.try_shutdown()


def wait_for_subscribers(publishers: list[Publisher], seconds: float = 20.0) -> None:
    give_up = time.monotonic() + seconds
    while not all(publisher.get_subscription_count() for publisher in publishers) and time.monotonic() < give_up:
        time.sleep(0.02)
    time.sleep(0.5)  # discovery is mutual; the other side may still be missing


def send(publishers: dict[str, Publisher], images_out: SentImages, rate: float, seconds: float) -> dict[str, list[int]]:
    """Stamps by topic. Late images are sent at once; none is skipped."""
    sent: dict[str, list[int]] = {topic: [] for topic in publishers}
    period, began = 1 / (rate * len(publishers)), time.monotonic()
    for number in range(int(seconds * rate) * len(publishers)):
        topic = list(publishers)[number % len(publishers)]
        time.sleep(max(0.0, began + number * period - time.monotonic()))
        stamp, image = images_out.next()
        publishers[topic].publish(image)
        sent[topic].append(stamp)
    return sent


if __name__ == "__main__":
    app()
