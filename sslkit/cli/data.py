"""``sslkit data check``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sslkit.cli.words import Words, add_plugin_flags, check_action
from sslkit.errors import UserError
from sslkit.parts.paths import home_path
from sslkit.recipe.overrides import Override, split_overrides

#: What says which images, and how they are read and augmented.
SECTIONS = ("data", "preprocess", "augment", "train", "seed")

_ANY = "quickstart"

_EPILOG = """overrides: data, preprocess, augment, train and seed; as for `sslkit fit`

examples:
  sslkit data check photos
  sslkit data check photos --recipe mine.yaml --out photos_checked
  sslkit data check --recipe quickstart

exit code: 1 if an image cannot be read or a test image is in the training data too, else 0
"""


def run(argv: Sequence[str]) -> int:
    """Read every image once, and tell what a run would meet."""
    words = Words("data", "Read every image once: sizes, modes, copies, files that cannot be read, views.", _EPILOG)
    words.usage = "sslkit data check [DIR] [flags] [overrides]"
    add = words.add_argument
    add("action", metavar="check")
    add("folder", nargs="?", type=home_path, metavar="DIR", help="a folder of images (default: the recipe's)")
    add("--recipe", metavar="FILE_OR_NAME", help="whose images, and whose views are drawn")
    add("--out", type=home_path, metavar="DIR", help="for lists and a picture (default: data_check)")
    add_plugin_flags(words)
    rest, overrides = split_overrides(argv, words.flags, SECTIONS)
    args = words.parse(rest)
    check_action(args.action, ("check",), "sslkit data check" if home_path(args.action).is_dir() else "")
    if args.folder is None and args.recipe is None:
        raise UserError("sslkit data check: which images? Name a folder, or a --recipe")
    if args.folder is not None:
        if any(override.key in ("data", "data.name", "data.root") for override in overrides):
            raise UserError("sslkit data check: both a folder and --data name the images; give one of them")
        folder = Override("data.root", str(args.folder), from_command_line=True)
        overrides = [Override("data", "image_folder", from_command_line=True), folder, *overrides]
    from sslkit.plugins.manager import load_registry
    from sslkit.recipe.load import load_recipe
    from sslkit.report.data_check import draw, findings, largest_view, listed, scan, write

    # any recipe reads images alike; whose views are wanted is for the user to say
    recipe = load_recipe(args.recipe or _ANY, overrides, load_registry(tuple(args.plugin), args.no_plugins))
    data = listed(recipe)
    largest = largest_view(recipe) if args.recipe else None
    found = findings(data, scan(recipe, data), largest, recipe.preprocess.values)
    out = args.out or Path("data_check")
    write(found, out)
    print("\n".join(found.lines))
    if args.recipe:
        draw(recipe, data, out / "views.png")
        print(f"wrote {out}: lists, and views.png with the recipe's views of the first images")
    else:
        print(f"wrote lists to {out}; add --recipe NAME to draw its augmented views too")
    return 1 if found.bad or found.numbers["test_images_in_train"] else 0
