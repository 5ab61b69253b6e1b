"""`camera-perception sign-model` and `verify-model`: who may change what a vehicle runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from camera_perception.core.errors import PerceptionError

# Examples of --help
SIGN = (
    "sign-model models/front --key ~/keys/vehicle.key --new-key",
    "sign-model models/front --key ~/keys/vehicle.key",
)
VERIFY = ("verify-model models/front --trusted-key ~/keys/vehicle.pub",)

TrustedKeys = Annotated[
    list[str] | None,
    typer.Option(
        "--trusted-key",
        help="Public key that must have signed the model: 64 hex digits or a .pub file; repeatable.",
    ),
]


def sign_model(
    folder: Annotated[Path, typer.Argument(help="Model folder; every file in it is signed.")],
    key: Annotated[Path, typer.Option("--key", "-k", help="Private Ed25519 key in PEM. Keep it off the vehicle.")],
    new: Annotated[
        bool, typer.Option("--new-key", help="Make this key first, and KEY.pub for `trusted_keys` of the nodes.")
    ] = False,
) -> None:
    """Sign a model folder, so that nodes with `trusted_keys` load it. Signing again replaces the signature."""
    from camera_perception.core.model_spec import load_spec
    from camera_perception.engines.serving.signature import SIGNATURE, SUMS, hex_of, new_key, private_key, sign, verify

    load_spec(folder)
    if new:
        typer.echo(f"{key} is new: keep it off the vehicle; {new_key(key)} goes into `trusted_keys`")
    signing = private_key(key)
    names = sign(folder, signing)
    public = hex_of(signing.public_key())
    verify(folder, [public])
    typer.echo(f"{folder}: {len(names)} files signed in {SUMS} and {SIGNATURE} by key {public}")


def verify_model(
    folder: Annotated[Path, typer.Argument(help="Model folder.")],
    trusted_key: TrustedKeys = None,
) -> None:
    """Check that a trusted key has signed a model folder as it is. Exit code 2 and the name of the file otherwise."""
    from camera_perception.engines.serving.signature import verify
    from camera_perception.engines.serving.trusted import load_trusted

    if not trusted_key:
        raise PerceptionError("no key to verify with: give --trusted-key KEY.pub, of whom you trust")
    spec = load_trusted(folder, trusted_key)
    count = len(verify(folder, trusted_key).stamps)
    typer.echo(f"{spec.name} {spec.version}: signed by {spec.signed_by}, {count} files and folders unchanged")
