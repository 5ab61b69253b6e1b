"""SQL over a store with DuckDB, and joining its small files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from camera_perception.tools.fleet.store.schema import DATA_TABLES, TABLES, arrow_table, parquet_bytes, pyarrow, schema
from camera_perception.tools.fleet.store.storage import RemoteStorage, Storage, StoreError

DONE, COMPACT = "done", "compact"
READERS = 16  # done markers read at once
ROWS_OF_A_FILE = 2_000_000


@dataclass
class Index:
    """Which files count: only those of units with a done marker, each unit once.

    compacted  manifest of the joined files, with the keys of the units in them; {} without
    loose      keys of the units in small files of their own
    rows       rows of `runs` of the loose units
    """

    compacted: dict[str, Any] = field(default_factory=dict)
    loose: list[str] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)


def read_index(storage: Storage) -> Index:
    """The index of a store; StoreError when it holds no run."""
    if not storage.exists("run.json"):
        raise StoreError(f"{storage.address} holds no run: give the --out of `camera-perception fleet replay`")
    compacted = newest_manifest(storage)
    known = set(compacted.get("units", ()))
    names = [name for name in storage.names(DONE) if name.removesuffix(".json") not in known]
    with ThreadPoolExecutor(READERS) as pool:
        rows = [json.loads(data) for data in pool.map(storage.read, (f"{DONE}/{name}" for name in names))]
    return Index(compacted, [row["unit"] for row in rows if row["status"] == "ok"], rows)


def newest_manifest(storage: Storage) -> dict[str, Any]:
    """The manifest that covers most units; of an interrupted compaction there is none."""
    names = [name for name in storage.names(COMPACT) if name.endswith(".json")]
    manifests = [json.loads(storage.read(f"{COMPACT}/{name}")) for name in names]
    return max(manifests, key=lambda each: (len(each["units"]), each["name"]), default={})


def connect(storage: Storage, index: Index | None = None) -> Any:
    """A DuckDB connection with a view per table."""
    try:
        import duckdb
    except ImportError as error:
        raise StoreError("fleet queries need 'duckdb': pip install camera_perception[fleet]") from error
    index = index or read_index(storage)
    connection = duckdb.connect()
    if isinstance(storage, RemoteStorage):
        connection.register_filesystem(storage.fs)
    for table in DATA_TABLES:
        _view(connection, table, [storage.path(name) for name in files_of(index, table)])
    for table, rows in (("loose_runs", index.rows), ("no_runs", [])):
        connection.register(table, arrow_table("runs", rows))
    joined = [storage.path(name) for name in index.compacted.get("files", {}).get("runs", ())]
    before = f"select * from read_parquet({joined})" if joined else "select * from no_runs"
    connection.execute(f"create view runs as {before} union all by name select * from loose_runs")
    return connection


def files_of(index: Index, table: str) -> list[str]:
    """Names of the parquet files of a table."""
    return [*index.compacted.get("files", {}).get(table, ()), *(f"{table}/{key}.parquet" for key in index.loose)]


def _view(connection: Any, table: str, paths: list[str]) -> None:
    """Files that an older version wrote lack columns: these are null."""
    if not paths:
        connection.register(table, arrow_table(table, []))
        return
    connection.register(f"no_{table}", arrow_table(table, []))
    listed = ", ".join("'" + path.replace("'", "''") + "'" for path in paths)
    files = f"read_parquet([{listed}], union_by_name = true)"
    connection.execute(f"create view {table} as select * from {files} union all by name select * from no_{table}")


def query(storage: Storage, sql: str) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Column names and rows of a query; StoreError with DuckDB's message when it is wrong."""
    connection = connect(storage)
    try:
        result = connection.execute(sql)
        return [column[0] for column in result.description], result.fetchall()
    except Exception as error:  # duckdb.Error has a dozen children
        tables = ", ".join(TABLES)
        raise StoreError(f"{' '.join(str(error).split())[:350]}; tables: {tables}; columns: fleet columns") from error
    finally:
        connection.close()


def compact(storage: Storage) -> tuple[int, int]:
    """Join the small files of all done units; returns the number of files before and after.

    The manifest comes last; only then are the small files removed. A run may go on meanwhile. Failed units stay out, so
    that they can be done again.
    """
    index = read_index(storage)
    before = sum(len(files_of(index, table)) for table in DATA_TABLES)
    if not index.loose:
        return before, before
    units = sorted({*index.compacted.get("units", ()), *index.loose})
    rows = [row for row in index.rows if row["status"] == "ok"]
    name = hashlib.sha256(" ".join(units).encode()).hexdigest()[:16]
    files = {table: _joined(storage, name, table, files_of(index, table)) for table in DATA_TABLES}
    files["runs"] = _joined(storage, name, "runs", index.compacted.get("files", {}).get("runs", ()), rows)
    manifest = {"name": name, "units": units, "files": files}
    storage.write(f"{COMPACT}/{name}.json", json.dumps(manifest).encode())
    _remove_joined(storage, index, name)
    return before, sum(map(len, files.values())) - len(files["runs"])


def _joined(
    storage: Storage, name: str, table: str, sources: Sequence[str], rows: Iterable[dict[str, Any]] = ()
) -> list[str]:
    """Write the rows of several files, and more rows, as files of at most about ROWS_OF_A_FILE; returns their names."""
    pa = pyarrow()
    parts: list[Any] = [arrow_table(table, rows)]
    written: list[str] = []
    for source in (*sources, None):
        if source is not None:
            parts.append(pa.parquet.read_table(pa.BufferReader(storage.read(source)), schema=schema(table)))
        if source is None or sum(map(len, parts)) > ROWS_OF_A_FILE:
            written.append(f"{COMPACT}/{name}.{table}.{len(written)}.parquet")
            storage.write(written[-1], parquet_bytes(pa.concat_tables(parts)))
            parts = [arrow_table(table, [])]
    return written


def _remove_joined(storage: Storage, index: Index, name: str) -> None:
    for table in DATA_TABLES:
        for key in index.loose:
            storage.remove(f"{table}/{key}.parquet")
    if index.compacted and index.compacted["name"] != name:
        storage.remove(f"{COMPACT}/{index.compacted['name']}.json")
        for files in index.compacted["files"].values():
            for each in files:
                storage.remove(each)
