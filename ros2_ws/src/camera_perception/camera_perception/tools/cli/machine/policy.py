"""`camera-perception security-policy`: who may use which topic of a vehicle."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer

from camera_perception.core.errors import PerceptionError

EXAMPLES = (
    "security-policy --rig rig.yaml --out policy.xml",
    "security-policy --namespace /camera/front > policy.xml",
)


def security_policy(
    rig: Annotated[Path | None, typer.Option(help="Rig file: all its cameras and their fusion.")] = None,
    namespace: Annotated[str, typer.Option(help="Without a rig: namespace of the one camera.")] = "/camera/front",
    params: Annotated[
        list[Path] | None, typer.Option(help="Parameter file of the camera nodes, for topics it names; repeatable.")
    ] = None,
    one_process: Annotated[bool, typer.Option("--one-process", help="The rig runs in one process.")] = False,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="XML file. Default: printed.")] = None,
) -> None:
    """Write the SROS2 policy of the nodes: one enclave per process, with the topics and services it really uses."""
    try:
        policy = import_module("camera_perception_ros.nodes.policy")
    except ImportError as error:
        raise PerceptionError(f"policies need the ROS package: source its workspace first ({error})") from error
    text = policy.policy_xml(rig, namespace, params or [], one_process)
    if out is None:
        typer.echo(text, nl=False)
    else:
        out.write_text(text, "utf-8")
        typer.echo(f"{out}: next, `ros2 security create_keystore KEYSTORE`, see docs/security.md")
