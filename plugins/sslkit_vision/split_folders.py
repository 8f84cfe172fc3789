"""Which of a data set's folders is its training split and which its test split, by their names."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from sslkit.errors import UserError
from sslkit_vision.first_rank_log import warn
from sslkit_vision.folder_images import only_folder
from sslkit_vision.image_finder import ImageFinder

_TRAIN = ("train", "training", "trn", "trainval")
#: In the order of preference: a validation split is made to be looked at during training.
_TEST = ("val", "valid", "validation", "dev", "eval", "evaluation", "test", "testing", "tst", "holdout")
_AROUND = "set|sets|split|data|dataset|images|image|imgs|img|folder|samples"
#: As in "training_set", "images_train" and "val2017", without what joins the words.
_AFFIXED = re.compile(rf"(?:{_AROUND})?({'|'.join((*_TRAIN, *_TEST))})(?:{_AROUND})?\d{{0,4}}")

_CLASSES = "if these folders are classes, take the data set image_folder with split_folders false"


@dataclass(frozen=True)
class Splits:
    """The folders of the splits; ``test`` is None if there is only one to train on."""

    train: Path
    test: Path | None = None


@dataclass(frozen=True)
class _Named:
    """A folder whose name is that of a split: its rank among the names of its split, and whether the name is plain."""

    name: str
    training: bool
    rank: int
    plain: bool


def split_named(name: str) -> _Named | None:
    """What a folder's name says of it, in any case; None if it is not that of a split."""
    joined = re.sub(r"[\s_.\-]+", "", name.casefold())
    match = _AFFIXED.fullmatch(joined)
    if match is None:
        return None
    word, training = match.group(1), match.group(1) in _TRAIN
    return _Named(name, training, (_TRAIN if training else _TEST).index(word), joined == word)


def splits_below(folder: Path, finder: ImageFinder) -> Splits | None:
    """The splits right below a folder or, where all images lie in one folder, below that one; None: there are none.

    Raises:
        UserError: if names say that there are splits, and not which folder is which.
    """
    if (splits := find_splits(folder, finder)) is not None:
        return splits
    here, names = folder, finder.names(folder)
    while (first := only_folder(names)) is not None:
        here, names = here / first, [name[len(first) + 1 :] for name in names]
        if (splits := find_splits(here, finder)) is not None:
            warn("%s: its splits are those of %s/, in which all images lie", folder, here.relative_to(folder))
            return splits
    _refuse_inner(here, names)
    return None


def find_splits(folder: Path, finder: ImageFinder) -> Splits | None:
    """The splits among the folders right below ``folder``; None if all of it is one split.

    Args:
        folder: of the data set.
        finder: of images.

    Raises:
        UserError: if names say that there are splits, and not which folder is which.
    """
    folders, loose = finder.look(folder)
    roles = [role for name in folders if (role := split_named(name)) is not None]
    if not roles:
        _refuse_words(folder, folders)
        return None
    train = [role for role in roles if role.training]
    tests = sorted((role for role in roles if not role.training), key=lambda role: (role.rank, role.name))
    # an empty val/ does not stand in the way of a full test/
    tests = [role for role in tests if finder.holds_images(folder / role.name)] or tests[:1]
    others = [name for name in folders if split_named(name) is None and finder.holds_images(folder / name)]
    if len(train) > 1:
        names = " and ".join(f"{role.name}/" for role in train)
        raise UserError(f"root: {folder} holds {names}: which one is the training split? Rename or move the other")
    if not train:
        _without_train(folder, tests, others, loose, finder)
        return None
    if not tests and others:
        _beside_unknown(folder, train[0].name, others, finder)
        return None
    left = [f"{name}/" for name in (*(role.name for role in tests[1:]), *others)]
    _warn_of_choice(folder, train[0], tests[:1], [*left, *(["the images beside these folders"] if loose else [])])
    return Splits(folder / train[0].name, folder / tests[0].name if tests else None)


def _warn_of_choice(folder: Path, train: _Named, tests: list[_Named], left: list[str]) -> None:
    """Say what was taken for what, where somebody else might take it for something else."""
    taken = f"{train.name}/ is taken for the training split"
    if tests:
        taken += f" and {tests[0].name}/ for the test split"
    if left:
        warn("%s: %s; left out: %s", folder, taken, _some(left))
    elif not (train.plain and all(role.plain for role in tests)):
        warn("%s: %s", folder, taken)


def _without_train(folder: Path, tests: list[_Named], others: list[str], loose: bool, finder: ImageFinder) -> None:
    first, names = tests[0].name, _some([f"{role.name}/" for role in tests])
    inner = set(finder.look(folder / first)[0])
    if len(tests) > 1 or inner & set(others):
        raise UserError(
            f"root: {folder} holds {names}, and no train/: put the images to train on in train/, or set root to the "
            f"folder to read, as in {folder / first}; {_CLASSES}"
        )
    if others and not loose:
        warn("%s: %s is taken for a class, as are the folders beside it: %s", folder, names, _some(others))
    else:
        warn("%s: there is no train/: the images of %s are trained on too", folder, names)


def _beside_unknown(folder: Path, train: str, others: list[str], finder: ImageFinder) -> None:
    """A class may be called so too: then images lie in it, as in the other classes, and no folders."""
    folders, loose = finder.look(folder / train)
    shown = _some([f"{name}/" for name in others])
    if not loose and any(finder.holds_images(folder / train / name) for name in folders):
        raise UserError(
            f"root: {folder} holds {train}/ beside {shown}: name the test split val/ or test/ and move other folders "
            f"away, or set root to {folder / train}; {_CLASSES}"
        )
    warn("%s: %s/ is taken for a class, as are the folders beside it: %s", folder, train, shown)


def _refuse_words(folder: Path, folders: list[str]) -> None:
    """Names with the words of both splits in them, as ``mine-train`` and ``mine-val``, are hardly two classes.

    Nor are those that are equal but for these words, as ``minetrain`` and ``mineval``.
    """
    words = {name: set(re.split(r"[^a-z]+", name.casefold())) for name in folders}
    train = [name for name in folders if words[name] & set(_TRAIN)]
    test = [name for name in folders if words[name] & set(_TEST)]
    if not (train and test):
        trains, tests = _by_rest(folders, _TRAIN), _by_rest(folders, _TEST)
        alike = sorted(trains.keys() & tests.keys())
        train, test = [trains[rest] for rest in alike], [tests[rest] for rest in alike]
    if train and test:
        raise UserError(
            f"root: {folder} holds {train[0]}/ and {test[0]}/, which look like splits: call them train/ and val/; "
            f"{_CLASSES}"
        )


def _by_rest(names: list[str], words: tuple[str, ...]) -> dict[str, str]:
    """Names that begin or end with one of these words, by what they are without it."""
    found = {}
    for name in names:
        low = name.casefold()
        rests = {rest for word in words for rest in (low.removesuffix(word), low.removeprefix(word))}
        found |= dict.fromkeys(rests - {low}, name)
    return found


def _refuse_inner(root: Path, names: list[str]) -> None:
    """Splits below folders that lie side by side, as ``cat/train`` and ``cat/test`` beside ``dog/train``."""
    roles: dict[str, set[str]] = {}
    for path in {name.rpartition("/")[0] for name in names}:
        parts = path.split("/")
        for depth, part in enumerate(parts[1:], start=1):
            if (role := split_named(part)) is not None:
                roles.setdefault("/".join(parts[:depth]), set()).add("train" if role.training else "test")
    inside = sorted(parent for parent, found in roles.items() if len(found) == 2)
    inside = inside or sorted(parent for parent, found in roles.items() if "train" in found)
    if len(inside) > 1 or (inside and len(roles[inside[0]]) == 2):
        raise UserError(
            f"root: {root} holds splits below {_some([f'{parent}/' for parent in inside])}, beside other images: set "
            f"root to the folder that holds the splits, as in {root / inside[0]}; {_CLASSES}"
        )


def _some(names: list[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
