"""XML label files of strangers: without entities, at most 200 MB."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from perception_models.data.files import DataError

LARGEST = 200_000_000  # bytes


def read_xml(path: Path) -> ElementTree.Element:
    """The root element; DataError for entities (which can expand without limit), huge and broken files."""
    try:
        if path.stat().st_size > LARGEST:
            raise DataError(f"{path}: larger than {LARGEST // 1_000_000} MB; split it")
        data = path.read_bytes()
        if b"<!ENTITY" in data or b"<!DOCTYPE" in data:
            raise DataError(f"{path}: holds a document type or entities; export it again without")
        return ElementTree.fromstring(data)
    except (OSError, ElementTree.ParseError) as error:
        raise DataError(f"{path}: cannot be read as XML ({error}); copy or export it again") from error


def text(element: ElementTree.Element, tag: str, where: Path) -> str:
    """The text of a child; DataError if it is missing."""
    value = element.findtext(tag)
    if value is None:
        raise DataError(f"{where}: <{element.tag}> without <{tag}>; export it again")
    return value.strip()
