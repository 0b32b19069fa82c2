"""Predictors' answers in one file, by content: whatever asks the same of the same predictor finds them again."""

from __future__ import annotations

import contextlib
import hashlib
import json
import sqlite3
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from oneword.errors import InputError, OutputError

_BUSY = 60.0  # seconds that another process may take to write
_AT_ONCE = 500  # keys a query; SQLite's own limit is higher
_FORMAT = (0x6F776B61, 1)  # what marks a file as one of these ("owka"), and its version


class KeptAnswers:
    """Answers by predictor and text, in an SQLite file.

    What was put is there after a process is killed, and nothing is half there. Several processes can share the file.

    Args:
        path: the file, made when it is not there; None keeps the answers in memory, as long as this object lives.

    Raises:
        InputError: the file is something else.
        OutputError: it cannot be made.
    """

    def __init__(self, path: str | Path | None) -> None:
        self.path = None if path is None else Path(path)
        self._open()
        weakref.finalize(self, self._connection.close)

    def get(self, fingerprint: str, texts: Sequence[str], pairs: Sequence[str] | None = None) -> list[Any | None]:
        """The answers that are kept, in the order of the texts; None for those that are not.

        Args:
            fingerprint: the predictor's.
            texts: what it was asked about.
            pairs: the second texts, where it was asked about pairs.

        Raises:
            InputError: the file is broken.
            OutputError: it cannot be used for now.
        """
        keys = _keys(fingerprint, texts, pairs)
        found: dict[bytes, str] = {}
        with self._named_errors():
            for start in range(0, len(keys), _AT_ONCE):
                some = keys[start : start + _AT_ONCE]
                slots = ",".join("?" * len(some))
                found.update(self._connection.execute(f"SELECT key, answer FROM answers WHERE key IN ({slots})", some))
        return [json.loads(found[key]) if key in found else None for key in keys]

    def put(self, fingerprint: str, texts: Sequence[str], pairs: Sequence[str] | None, answers: Sequence[Any]) -> None:
        """Keep answers, all of them or, when something goes wrong, none.

        Args:
            fingerprint: as for :meth:`get`.
            texts: likewise.
            pairs: likewise.
            answers: of each text what JSON can hold, not None; numbers come back as they were, to the last bit.

        Raises:
            InputError: the file is broken.
            OutputError: it cannot be written.
        """
        values = [json.dumps(answer, separators=(",", ":")) for answer in answers]
        rows = list(zip(_keys(fingerprint, texts, pairs), values, strict=True))
        with self._named_errors(), self._transaction():
            self._connection.executemany("INSERT OR REPLACE INTO answers VALUES (?, ?)", rows)

    def _open(self) -> None:
        if self.path is not None:
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise OutputError(f"{self.path.parent} cannot be made: {error.strerror}; name another folder") from None
        with self._named_errors():
            # Transactions are begun and ended by hand; the last reference may be dropped in another thread
            self._connection = sqlite3.connect(
                ":memory:" if self.path is None else self.path,
                timeout=_BUSY,
                isolation_level=None,
                check_same_thread=False,
            )
            try:
                self._prepare()
            except BaseException:
                self._connection.close()
                raise

    def _prepare(self) -> None:
        """Make the table in an empty file; refuse a file with another one."""
        if self._marks() != _FORMAT:
            with self._transaction():  # in which no other process can make it
                if self._marks() != _FORMAT:
                    if self._connection.execute("SELECT count(*) FROM sqlite_master").fetchone() != (0,):
                        raise sqlite3.DatabaseError("it is another database")
                    self._connection.execute("CREATE TABLE answers (key BLOB PRIMARY KEY, answer TEXT) WITHOUT ROWID")
                    self._connection.execute(f"PRAGMA application_id = {_FORMAT[0]}")
                    self._connection.execute(f"PRAGMA user_version = {_FORMAT[1]}")
        with contextlib.suppress(sqlite3.OperationalError):  # another process is at it, or the disk cannot share memory
            self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = NORMAL")

    def _marks(self) -> tuple[int, ...]:
        return tuple(
            self._connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version")
        )

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):  # SQLite has rolled back a full disk's itself
                self._connection.execute("ROLLBACK")
            raise

    @contextlib.contextmanager
    def _named_errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:  # a full disk, no permission, locked for too long
            raise OutputError(
                f"{self.path} cannot be used for answers: {error}; what is in it stays, so make room or name another "
                "folder and run the same command again"
            ) from None
        except sqlite3.DatabaseError as error:
            raise InputError(
                f"{self.path} is no file of kept answers, or is broken ({error}); move it away or name another folder"
            ) from None


def _keys(fingerprint: str, texts: Sequence[str], pairs: Sequence[str] | None) -> list[bytes]:
    seconds: Sequence[str | None] = [None] * len(texts) if pairs is None else pairs
    return [
        hashlib.sha256(json.dumps([fingerprint, text, pair]).encode()).digest()
        for text, pair in zip(texts, seconds, strict=True)
    ]
