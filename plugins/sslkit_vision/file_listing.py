"""Finding the files below a folder, and a file that remembers them: network disks take minutes for a million names."""

from __future__ import annotations

import errno
import json
import logging
import os
import socket
import time
from contextlib import suppress
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path

from sslkit.errors import UserError

log = logging.getLogger("sslkit")

_VERSION = 1
#: A folder that changed so many seconds ago may have changed once more within what its disk counts as the same time,
#: or behind what a network disk's client still believes (Linux's NFS: 60 s): it is not remembered yet.
_SETTLED = 60
#: Seconds after which a word is due.
_PATIENCE = 10


@dataclass(frozen=True)
class _Entries:
    """Names in a folder, each kind sorted; hidden ones are left out."""

    changed: tuple[int, int]  # time of the last change in ns, and inode: others as soon as a name came or went
    files: list[str]
    folders: list[str]


@dataclass
class Listing:
    """Finds files below folders, and asks the disk only about folders that it does not remember as they are now.

    A folder's own time (of status change, which nothing sets back) changes when a name is added, removed or renamed in
    it, on local disks and NFS: what only imitates folders (mounted object stores) may not do so, and needs a listing
    without memory. What a link leads to is remembered too.

    Args:
        file: what is remembered, from earlier runs and for later ones; None: nothing is.

    Raises:
        UserError: if the file is there and no listing, or cannot be read.
    """

    file: Path | None = None
    _known: dict[str, _Entries] = field(init=False)
    _settled: dict[str, _Entries] = field(init=False, default_factory=dict)
    _looked_at: dict[str, _Entries] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._known = _remembered(self.file) if self.file else {}

    def find(self, root: Path) -> list[str]:
        """Paths relative to ``root`` of all regular files below it, sorted; hidden ones are left out.

        Links to folders are followed, except to a folder that the link lies in. Dead links, pipes, sockets and devices
        are no regular files.

        Raises:
            UserError: if a folder may not be listed, or the file lies in one or cannot be written.
        """
        if self.file and self.file.resolve().is_relative_to(root.resolve()):
            raise UserError(f"listing is '{self.file}', which lies in what is listed: name a file outside of {root}")
        found = self._found(root)
        self._keep(root)
        return found

    def look(self, folder: Path) -> tuple[list[str], list[str]]:
        """Names of the files and of the folders right in ``folder``, each sorted; hidden ones are left out.

        Raises:
            UserError: if it may not be listed.
        """
        entries, _ = self._entries(folder)
        # whoever looks at a folder finds what lies in it next: a million names are not listed twice
        self._looked_at[str(folder)] = entries
        return entries.files, entries.folders

    def _found(self, root: Path) -> list[str]:
        found: list[str] = []
        patience = time.monotonic() + _PATIENCE
        # files and folders still to come, the next one last; of a file None, of a folder those that it lies in
        waiting: list[tuple[str, frozenset[tuple[int, int]] | None]] = [("", frozenset())]
        while waiting:
            path, above = waiting.pop()
            if above is None:
                found.append(path)
                continue
            entries, identity = self._entries(root / path)
            if identity in above:
                continue
            start = f"{path}/" if path else ""
            if entries.folders:
                waiting += _in_order(start, entries, above | {identity})
            else:
                found += [start + name for name in entries.files]
            if time.monotonic() > patience:
                log.info("listing %s: %d files so far", root, len(found))
                patience = time.monotonic() + _PATIENCE
        return found

    def _keep(self, root: Path) -> None:
        """Write what was found below a folder into the file, beside what it has of others."""
        here, below = str(root), f"{root}/"
        others = {path: of for path, of in self._known.items() if path != here and not path.startswith(below)}
        lasting, self._settled = others | self._settled, {}
        if self.file is None or lasting == self._known:
            return
        self._known = lasting
        folders = {path: [*of.changed, "/".join(of.files), "/".join(of.folders)] for path, of in lasting.items()}
        beside = self.file.with_name(f".{self.file.name}.{socket.gethostname()}.{os.getpid()}")
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            beside.write_text(json.dumps({"sslkit listing": _VERSION, "folders": folders}), encoding="ascii")
            beside.replace(self.file)
        except OSError as error:
            with suppress(OSError):
                beside.unlink()
            raise UserError(f"listing is '{self.file}', which cannot be written: {error.strerror or error}") from error

    def _entries(self, folder: Path) -> tuple[_Entries, tuple[int, int]]:
        before = time.time_ns()
        try:
            there = folder.stat()
            # not the device: a network disk's is another one on every machine
            changed = there.st_ctime_ns, there.st_ino
            known = (self._looked_at.get(str(folder)), self._known.get(str(folder)))
            entries = next((of for of in known if of and of.changed == changed), None) or _listed(folder, changed)
        except PermissionError as error:
            raise UserError(f"{folder}: no permission to list this folder") from error
        except OSError as error:
            memory = f"; {self.file} may remember it wrongly: delete that file" if self._known else ""
            raise UserError(f"{folder}: this folder cannot be listed: {error.strerror or error}{memory}") from error
        if there.st_ctime_ns < before - _SETTLED * 10**9:
            self._settled[str(folder)] = entries
        return entries, (there.st_dev, there.st_ino)


def _listed(folder: Path, changed: tuple[int, int]) -> _Entries:
    files, folders = [], []
    with os.scandir(folder) as entries:
        for entry in entries:
            name = entry.name
            if name[0] == ".":
                continue
            try:
                if entry.is_file():
                    files.append(name)
                elif entry.is_dir():
                    folders.append(name)
            except PermissionError as error:
                raise UserError(f"{entry.path}: no permission to see what this link leads to") from error
            except OSError as error:
                if error.errno != errno.ELOOP:
                    raise
                # a link that leads to itself: as dead as one that leads nowhere
    return _Entries(changed, sorted(files), sorted(folders))


def _in_order(
    start: str, entries: _Entries, inside: frozenset[tuple[int, int]]
) -> list[tuple[str, frozenset[tuple[int, int]] | None]]:
    """A folder's files and folders, last ones first, so that all files together come out as if sorted by their path."""
    ranked: list[tuple[str, str, frozenset[tuple[int, int]] | None]] = [(name, name, None) for name in entries.files]
    ranked += [(f"{name}/", name, inside) for name in entries.folders]
    return [(start + name, above) for _, name, above in sorted(ranked, key=itemgetter(0), reverse=True)]


def _remembered(file: Path) -> dict[str, _Entries]:
    try:
        kept = json.loads(file.read_bytes())
        if kept["sslkit listing"] != _VERSION:
            return {}
        return {
            path: _Entries((time_ns, inode), _names(files), _names(folders))
            for path, (time_ns, inode, files, folders) in kept["folders"].items()
        }
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise UserError(f"listing is '{file}', which cannot be read: {error.strerror or error}") from error
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise UserError(f"listing is '{file}', which holds something else: name another file, or delete it") from error


def _names(joined: str) -> list[str]:
    return joined.split("/") if joined else []
