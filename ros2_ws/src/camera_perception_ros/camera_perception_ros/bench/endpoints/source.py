"""Cameras of a fixed rate as a process of its own; writes the stamps of what it sent. Several cameras take turns."""

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

from camera_perception_ros.bench.endpoints.images import Pictures, camera_info
from camera_perception_ros.bench.names import CAMERA

app = typer.Typer(add_completion=False)


@app.command()
def source(
    topics: list[str],
    rate: Annotated[float, typer.Option(help="Images per second of each topic.")],
    seconds: Annotated[float, typer.Option(help="How long.")],
    out: Annotated[Path, typer.Option(help="JSON file: topic, stamps in nanoseconds.")],
    images: Annotated[
        Path | None, typer.Option(help="Recording, video or folder; made-up images when not given.")
    ] = None,
) -> None:
    """Publish images at a fixed rate and end."""
    pictures = Pictures(images)
    rclpy.init()
    node = Node("bench_source", start_parameter_services=False)
    publishers = {topic: node.create_publisher(Image, topic, CAMERA) for topic in topics}
    infos = [node.create_publisher(CameraInfo, topic.rpartition("/")[0] + "/camera_info", CAMERA) for topic in topics]
    wait_for_listeners(list(publishers.values()))
    for publisher in infos:
        publisher.publish(camera_info())
    sent = send(publishers, pictures, rate, seconds)
    out.write_text(json.dumps(sent), "utf-8")
    time.sleep(0.5)  # the last image is still on its way
    node.destroy_node()
    rclpy.try_shutdown()


def wait_for_listeners(publishers: list[Publisher], seconds: float = 20.0) -> None:
    give_up = time.monotonic() + seconds
    while not all(publisher.get_subscription_count() for publisher in publishers) and time.monotonic() < give_up:
        time.sleep(0.02)
    time.sleep(0.5)  # discovery is mutual, and ours may be the first half


def send(publishers: dict[str, Publisher], pictures: Pictures, rate: float, seconds: float) -> dict[str, list[int]]:
    """Topic: stamps. An image that is late is sent at once, none is left out."""
    sent: dict[str, list[int]] = {topic: [] for topic in publishers}
    period, began = 1 / (rate * len(publishers)), time.monotonic()
    for number in range(int(seconds * rate) * len(publishers)):
        topic = list(publishers)[number % len(publishers)]
        time.sleep(max(0.0, began + number * period - time.monotonic()))
        stamp, image = pictures.next()
        publishers[topic].publish(image)
        sent[topic].append(stamp)
    return sent


if __name__ == "__main__":
    app()
