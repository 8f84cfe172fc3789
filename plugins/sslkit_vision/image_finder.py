"""Finds the images below folders by their types, and what lies beside them."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from sslkit.errors import UserError
from sslkit_vision.file_listing import Listing
from sslkit_vision.first_rank_log import warn
from sslkit_vision.image_files import ARRAY, readable_extensions
from sslkit_vision.left_out_files import left_out, left_out_in_words

#: Folders that are looked at for a first image: links may make an endless tree of them.
_LOOKED_AT = 500


class ImageFinder:
    """Finds images; a folder is listed once.

    Args:
        listing: finds the files.
        extensions: the types to take, in any case; None: all that Pillow reads, or ``.npy``, but not both.

    Attributes:
        kinds: the extensions that are taken, in lower case.

    Raises:
        UserError: if Pillow does not read one of the extensions.
    """

    def __init__(self, listing: Listing, extensions: Sequence[str] | None = None) -> None:
        self.kinds = _all_extensions() if extensions is None else _extensions(extensions)
        self._listing, self._chosen = listing, extensions is not None
        self._found: dict[Path, tuple[list[str], dict[str, int]]] = {}

    def look(self, folder: Path) -> tuple[list[str], bool]:
        """The folders right in a folder, by name, and whether images lie beside them."""
        files, folders = self._listing.look(folder)
        return folders, any(self._takes(name) for name in files)

    def holds_images(self, folder: Path) -> bool:
        """Whether an image lies in one of the first folders below a folder, itself among them."""
        waiting, looked_at = [folder], 0
        while waiting and looked_at < _LOOKED_AT:
            here = waiting.pop()
            folders, images = self.look(here)
            if images:
                return True
            waiting += [here / name for name in reversed(folders)]
            looked_at += 1
        return False

    def _takes(self, name: str) -> bool:
        return os.path.splitext(name)[1].lower() in self.kinds

    def names(self, folder: Path) -> list[str]:
        """Paths of the images below a folder, relative to it and sorted.

        Raises:
            UserError: if there are none, or arrays beside images of other types and nobody chose.
        """
        return self._find(folder)[0]

    def warn_left_out(self, folder: Path) -> None:
        """Warn of files that may be meant as images and are left out; what nobody chose is left out unnoticed."""
        left = self._find(folder)[1]
        if left and not self._chosen:
            warn("%s: files left out for their type: %s", folder, left_out_in_words(left))

    def _find(self, folder: Path) -> tuple[list[str], dict[str, int]]:
        if folder not in self._found:
            files = self._listing.find(folder)
            self._found[folder] = self._images(folder, files), left_out(files, self.kinds)
        return self._found[folder]

    def _images(self, folder: Path, files: list[str]) -> list[str]:
        # from the last dot on: splitext takes as long as listing the files does
        there = Counter(name[name.rfind(".") :] for name in files)
        wanted = {kind for kind in there if kind.lower() in self.kinds}
        names = files if len(wanted) == len(there) else [name for name in files if name[name.rfind(".") :] in wanted]
        if not names:
            raise UserError(self._none(folder, files))
        arrays = sum(there[kind] for kind in wanted if kind.lower() == ARRAY)
        if 0 < arrays < len(names) and not self._chosen:
            # the arrays may be other things than images
            raise UserError(
                f"extensions is null, and {folder} holds {arrays} {ARRAY} files beside {len(names) - arrays} images of "
                f"other types: name the types to take, as in [{ARRAY}]"
            )
        return names

    def _none(self, folder: Path, files: list[str]) -> str:
        types = Counter(os.path.splitext(name)[1].lower() or "no extension" for name in files)
        found = ", ".join(f"{count} x {kind}" for kind, count in types.most_common(5)) or "no files at all"
        usual = [kind for kind in (".jpg", ".jpeg", ".png", ".webp", ".tif", ARRAY) if kind in self.kinds]
        examples = ", ".join(usual or sorted(self.kinds)[:5])
        left = left_out(files, self.kinds)
        what = f"; left out for their type: {left_out_in_words(left)}" if left else ""
        return f"{folder} holds no images: found {found}; expected files such as {examples}{what}"


def _all_extensions() -> frozenset[str]:
    return readable_extensions() | {ARRAY}


def _extensions(chosen: Sequence[str]) -> frozenset[str]:
    kinds = frozenset("." + kind.lower().lstrip(".") for kind in chosen)
    unknown = sorted(kinds - _all_extensions())
    if unknown or not kinds:
        known = left_out_in_words(dict.fromkeys(unknown, 0), counted=False)
        raise UserError(f"extensions is {list(chosen)}: Pillow reads no {known or 'such list'}; try [.jpg, .png]")
    return kinds
