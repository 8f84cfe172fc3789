"""The sections of a recipe and what each may hold. Free of torch."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from sslkit.parts.preprocess import Preprocess
from sslkit.recipe.settings import Checkpointing, Train


class Shape(Enum):
    """What a section looks like."""

    NUMBER = "a whole number"
    PART = "a part: its name, or {name: ..., options}"
    PARTS = "parts by id: {id: {options}}; name defaults to the id"
    RULES = "rules by id: {id: {keys}}"
    KEYS = "keys of its own"


@dataclass(frozen=True)
class Section:
    """A section of a recipe.

    Attributes:
        name: its key.
        shape: what it looks like.
        summary: one line of help.
        kind: the kind of its part or parts.
        required: whether a recipe must have it.
        settings: the dataclass of its keys.
    """

    name: str
    shape: Shape
    summary: str
    kind: str = ""
    required: bool = False
    settings: type[Preprocess] | type[Train] | type[Checkpointing] | None = None


_ALL = (
    Section("seed", Shape.NUMBER, "of every random draw"),
    Section("data", Shape.PART, "the images to train on", "dataset", required=True),
    Section("eval_data", Shape.PART, "the images to evaluate on (default: data)", "dataset"),
    Section("preprocess", Shape.KEYS, "size, resize, mean, std, channels of whole images", settings=Preprocess),
    Section("augment", Shape.PART, "the augmented views of an image", "augmenter", required=True),
    Section("backbone", Shape.PART, "the network that is learned", "backbone", required=True),
    Section("head", Shape.PART, "projection head on the backbone", "head"),
    Section("predictor", Shape.PART, "one more head, on the student alone", "head"),
    Section("teacher", Shape.PART, "how a teacher follows the student", "teacher"),
    Section("teacher_backbone", Shape.PART, "another network for a teacher that does not learn", "backbone"),
    Section("teacher_head", Shape.PART, "its projection head (default: as the student's)", "head"),
    Section("loss", Shape.PART, "what is minimised; short for losses with one entry", "loss"),
    Section("losses", Shape.PARTS, "several losses, each with a weight", "loss"),
    Section("optimizer", Shape.PART, "how the weights move", "optimizer", required=True),
    Section("clip", Shape.PART, "how gradients are bounded", "clip"),
    Section("param_groups", Shape.RULES, "factors of the rates for parameters by name; the first match counts"),
    Section("train", Shape.KEYS, "epochs, batch_size, precision, workers, device ...", settings=Train),
    Section("checkpoint", Shape.KEYS, "when to save and what to keep", settings=Checkpointing),
    Section("evaluate", Shape.PARTS, "evaluators, with every, at_start and which", "evaluator"),
    Section("watch", Shape.PARTS, "watchers besides progress, csv, tensorboard and collapse", "watcher"),
)

SECTIONS: dict[str, Section] = {section.name: section for section in _ALL}

#: The help of the one key that is no section.
BASE = "a recipe file that this one changes, relative to it (in files only)"

#: Keys that stand beside an entry's own options, by section: they are not the part's.
BESIDE: dict[str, frozenset[str]] = {
    "losses": frozenset({"weight"}),
    "evaluate": frozenset({"every", "at_start", "which"}),
}

#: The watchers of every run, unless ``watch: {csv: null}`` removes one.
DEFAULT_WATCH = ("progress", "csv", "tensorboard", "collapse")
