"""Signed model folders: SHA256SUMS lists every file, SHA256SUMS.sig is its Ed25519 signature (RFC 8032).

Both are plain enough for other tools: `sha256sum --check SHA256SUMS`, and `openssl pkeyutl -verify -rawin`. A folder is
accepted only as a whole: a file that is missing, changed, not listed, a link or no ordinary file is refused by name.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from camera_perception.core.errors import ModelError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

SUMS, SIGNATURE = "SHA256SUMS", "SHA256SUMS.sig"
LINE = re.compile(r"([0-9a-f]{64})  ([^\x00-\x1f\x7f\\]+)")  # as sha256sum writes it; names it would escape are refused
HEX_KEY = re.compile(r"[0-9a-f]{64}")
MOST_FILES, MOST_SUMS, MOST_KEY = 10_000, 1 << 20, 1 << 14  # entries, bytes, bytes
AGAIN = "copy the signed folder again, or sign it again if the change is yours"


@dataclass(frozen=True)
class SignedFolder:
    """A model folder whose files were those of its signature when it was read.

    signer  public key, 64 hex digits
    stamps  file or folder: identity, size and times of modification and of change, which only root can set back
    """

    folder: Path
    signer: str
    stamps: dict[Path, tuple[int, ...]]

    def check_unchanged(self) -> None:
        """ModelError when anything was written since; for use after the files were read a second time."""
        for path, stamp in self.stamps.items():
            if _stamp_of(path) != stamp:
                raise ModelError(f"{path} was changed while it was in use: {AGAIN}")


# Signing


def sign(folder: Path, key: Ed25519PrivateKey) -> list[str]:
    """Write both files; the names that were signed. ModelError for a file that cannot be signed."""
    sums = {name: _read(path)[0] for name, path in _files(folder).items()}
    text = "".join(f"{digest}  {name}\n" for name, digest in sums.items()).encode()
    _parse(text, folder / SUMS)
    for name, data in ((SUMS, text), (SIGNATURE, key.sign(text))):
        part = folder / f"{name}.{os.getpid()}.part"
        part.write_bytes(data)
        part.replace(folder / name)
    return list(sums)


def new_key(path: Path) -> Path:
    """A new private key that only this user can read, and its public key beside it, whose path is returned."""
    serialization = _crypto("hazmat.primitives.serialization")
    key = _crypto("hazmat.primitives.asymmetric.ed25519").Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
            stream.write(private)
        path.with_suffix(".pub").write_bytes(public)
    except OSError as error:
        raise ModelError(
            f"{path} cannot be written ({error.strerror}): give a new file in a folder of yours"
        ) from error
    return path.with_suffix(".pub")


def private_key(path: Path) -> Ed25519PrivateKey:
    """ModelError for anything but an Ed25519 key in PEM that needs no password."""
    data = _key_file(path)
    try:
        key = _crypto("hazmat.primitives.serialization").load_pem_private_key(data, None)
    except (ValueError, TypeError) as error:
        raise ModelError(f"{path} is not a private key without password: make one with --new-key") from error
    if not isinstance(key, _crypto("hazmat.primitives.asymmetric.ed25519").Ed25519PrivateKey):
        raise ModelError(f"{path} is not an Ed25519 key: make one with --new-key")
    return key  # type: ignore[no-any-return]


# Verifying


def verify(folder: Path, trusted: Sequence[str]) -> SignedFolder:
    """Check signature and files; ModelError names the file that is wrong.

    trusted  public keys, each as 64 hex digits or as the path of a PEM file
    """
    keys = [public_key(each) for each in trusted]
    sums = _bounded(folder / SUMS, MOST_SUMS, "this folder is not signed: run `camera-perception sign-model`")
    signature = _bounded(folder / SIGNATURE, MOST_SUMS, "this folder is not signed: run `camera-perception sign-model`")
    signer = _signer(keys, signature, sums)
    if signer is None:
        raise ModelError(
            f"{folder / SIGNATURE} is not the signature of {SUMS} by any of {len(keys)} trusted keys: {AGAIN}"
        )
    listed, found, stamps = _parse(sums, folder / SUMS), _files(folder), {folder: _stamp_of(folder)}
    for name in sorted(listed.keys() | found.keys()):
        if name not in found:
            raise ModelError(f"{folder / name} is missing, but {SUMS} lists it: {AGAIN}")
        if name not in listed:
            raise ModelError(f"{folder / name} is not in {SUMS}: remove it, or sign the folder again")
        digest, stamps[found[name]] = _read(found[name])
        if digest != listed[name]:
            raise ModelError(f"{found[name]} has changed since it was signed: {AGAIN}")
    parents = {parent for path in found.values() for parent in path.parents if folder in parent.parents}
    signed = (folder / SUMS, folder / SIGNATURE)
    return SignedFolder(folder, signer, stamps | {path: _stamp_of(path) for path in (*parents, *signed)})


def public_key(text: str) -> tuple[str, Ed25519PublicKey]:
    """A trusted key and its 64 hex digits; ModelError for anything else."""
    ed25519 = _crypto("hazmat.primitives.asymmetric.ed25519")
    serialization = _crypto("hazmat.primitives.serialization")
    if HEX_KEY.fullmatch(text.lower()):
        return text.lower(), ed25519.Ed25519PublicKey.from_public_bytes(bytes.fromhex(text))
    try:
        key = serialization.load_pem_public_key(_key_file(Path(text).expanduser()))
    except ValueError as error:
        raise ModelError(f"trusted key {text[:200]} is not a public key in PEM: give the .pub file") from error
    if not isinstance(key, ed25519.Ed25519PublicKey):
        raise ModelError(
            f"trusted key {text[:200]} is not an Ed25519 key: give the .pub file of `sign-model --new-key`"
        )
    return hex_of(key), key


def hex_of(key: Ed25519PublicKey) -> str:
    """The 64 hex digits of a public key."""
    serialization = _crypto("hazmat.primitives.serialization")
    raw = serialization.Encoding.Raw, serialization.PublicFormat.Raw
    return key.public_bytes(*raw).hex()


def _signer(keys: Sequence[tuple[str, Ed25519PublicKey]], signature: bytes, data: bytes) -> str | None:
    """The first key that made the signature."""
    invalid = _crypto("exceptions").InvalidSignature
    for text, key in keys:
        try:
            key.verify(signature, data)
            return text
        except invalid:
            continue
    return None


def _crypto(module: str) -> Any:
    """A module of `cryptography`, which only signatures need."""
    from importlib import import_module

    try:
        return import_module(f"cryptography.{module}")
    except ImportError as error:
        raise ModelError("signed models need the 'cryptography' package: pip install cryptography") from error


# Files


def _parse(sums: bytes, path: Path) -> dict[str, str]:
    """File name -> SHA-256 of the lines of a SHA256SUMS."""
    found: dict[str, str] = {}
    for line in sums.decode("utf-8", "replace").split("\n")[:-1]:
        match = LINE.fullmatch(line)
        if match is None or match[2] in found or ".." in Path(match[2]).parts or match[2].startswith("/"):
            raise ModelError(f"{path} has a line that sha256sum would not write ({line[:80]!r}): sign the folder again")
        found[match[2]] = match[1]
    return found


def _files(folder: Path) -> dict[str, Path]:
    """Name relative to the folder -> path of everything below it that is no folder, sorted, without the signature."""
    if not folder.is_dir():
        raise ModelError(f"model folder {folder} does not exist: give the folder that holds model.json and model.onnx")
    found = {}
    for path in _walk(folder):
        found[path.relative_to(folder).as_posix()] = path
        if len(found) > MOST_FILES:
            raise ModelError(f"{folder} has more than {MOST_FILES} files: give a folder that holds a model only")
    return {name: found[name] for name in sorted(found) if name not in (SUMS, SIGNATURE)}


def _walk(folder: Path) -> Iterator[Path]:
    """Files below a folder, and links to folders; ModelError for one that cannot be listed."""

    def refuse(error: OSError) -> None:
        raise ModelError(f"{error.filename} cannot be listed ({error.strerror}): make it readable") from error

    for parent, folders, names in os.walk(folder, onerror=refuse):
        yield from (Path(parent, name) for name in names)
        yield from (Path(parent, name) for name in folders if Path(parent, name).is_symlink())


def _read(path: Path) -> tuple[str, tuple[int, ...]]:
    """SHA-256 and stamp of an ordinary file; ModelError for a link, a pipe or a device."""
    digest = hashlib.sha256()
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as stream:
            status = os.fstat(stream.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise ModelError(f"{path} is no ordinary file: remove it from the model folder")
            while chunk := stream.read(1 << 20):
                digest.update(chunk)
    except OSError as error:
        raise ModelError(f"{path} is a link or cannot be read ({error.strerror}): put the file itself there") from error
    return digest.hexdigest(), _stamp(status)


def _bounded(path: Path, limit: int, missing: str) -> bytes:
    """The contents of a small ordinary file; ModelError with the clause `missing` where there is none."""
    if not path.exists():
        raise ModelError(f"{path} does not exist: {missing}")
    status = path.lstat()
    if not stat.S_ISREG(status.st_mode) or status.st_size > limit:
        raise ModelError(f"{path} is no ordinary file of at most {limit} bytes: {AGAIN}")
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path} cannot be read ({error.strerror}): make it readable for this user") from error


def _key_file(path: Path) -> bytes:
    return _bounded(path, MOST_KEY, "give a key file, or make a key with `camera-perception sign-model --new-key`")


def _stamp_of(path: Path) -> tuple[int, ...]:
    try:
        return _stamp(path.lstat())
    except OSError as error:
        raise ModelError(f"{path} was removed while it was in use: {AGAIN}") from error


def _stamp(status: os.stat_result) -> tuple[int, ...]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
