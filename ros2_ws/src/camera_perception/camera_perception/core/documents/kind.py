"""A kind of document: its format, its schema, and the error that a bad one raises."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from camera_perception.core.documents.parsing import MOST_BYTES, Malformed, check_values, parse, read_regular
from camera_perception.core.documents.text import shorten


@dataclass(frozen=True)
class DocumentKind:
    """How one kind of document is read.

    name    for messages: "a usable rig file"
    format  "json" or "yaml"
    schema  package and file name of its JSON schema
    error   raised for every failure, with one sentence
    remedy  what to do about a document that cannot be read
    """

    name: str
    format: str
    schema: tuple[str, str]
    error: type[Exception]
    remedy: str

    def read(self, path: Path | str) -> Any:
        """The validated contents of a file."""
        data = self.parsed(path)
        self.check(data, path)
        return data

    def parsed(self, path: Path | str) -> Any:
        """The contents of a file, within the limits of parsing.py, not yet compared with the schema."""
        try:
            return parse(read_regular(path, MOST_BYTES[self.format]), self.format)
        except Malformed as error:
            raise self.error(self._unusable(path, error)) from error

    def check(self, data: Any, path: Path | str) -> None:
        """Raise the error for the first field that does not match the schema."""
        try:
            check_values(data)
        except Malformed as error:
            raise self.error(self._unusable(path, error)) from error
        failed = min(validator(*self.schema).iter_errors(data), key=_place, default=None)
        if failed is not None:
            where = shorten(".".join(map(str, failed.absolute_path)), 80) or "the top level"
            raise self.error(self._unusable(path, f"{where}: {shorten(failed.message, 160)}"))

    def _unusable(self, path: Path | str, reason: object) -> str:
        return shorten(f"{shorten(str(path), 150)} is not {self.name} ({shorten(str(reason), 250)}): {self.remedy}")


def _place(error: Any) -> list[str]:
    return list(map(str, error.absolute_path))


@lru_cache(maxsize=16)
def validator(package: str, name: str) -> Any:
    """A validator of Draft 7, the newest that the 3.2 of Ubuntu 22.04 knows, for which 160.0 is no integer."""
    import jsonschema  # only documents need it, and it takes 50 ms to import

    draft = jsonschema.Draft7Validator
    types = draft.TYPE_CHECKER.redefine("integer", lambda _, it: isinstance(it, int) and not isinstance(it, bool))
    schema = json.loads(files(package).joinpath(name).read_text("utf-8"))
    extend: Any = jsonschema.validators.extend
    return extend(draft, type_checker=types)(schema)
