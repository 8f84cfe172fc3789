"""The ``sslkit`` command: finds the subcommand and turns errors into sentences and exit codes. Free of torch."""

from __future__ import annotations

import errno
import os
import sys
import threading
from collections.abc import Sequence
from importlib import import_module

import sslkit
from sslkit import streams
from sslkit.errors import RunError, Stopped, UserError, nearest
from sslkit.launcher import speaks

#: Subcommand, its module (imported when it is called), and its line of help.
COMMANDS = {
    "fit": ("sslkit.cli.fit", "train from a recipe; the same command again continues an unfinished run"),
    "eval": ("sslkit.cli.eval", "judge a run's backbone: k-NN, linear probe, ..."),
    "embed": ("sslkit.cli.embed", "write the features of any images to .parquet or .npz"),
    "export": ("sslkit.cli.export", "write a run's backbone for timm, torch, safetensors or onnx"),
    "ablate": ("sslkit.cli.ablate", "compare recipes that differ on named axes, over paired seeds"),
    "bench": ("sslkit.cli.bench", "where the time of a recipe's step goes, and what bounds it"),
    "data": ("sslkit.cli.data", "read every image of a data set once, and tell what a run would meet"),
    "replay": ("sslkit.cli.replay", "make a step once more whose loss or gradients were not finite"),
    "recipes": ("sslkit.cli.recipes", "list or show the recipes that ship with sslkit"),
    "plugins": ("sslkit.cli.plugins", "list the parts that plugins bring, or show the options of one"),
}

#: What is no fault of sslkit: a disk that is full, or that may not be used.
_DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM)

HELP = """usage: sslkit COMMAND ...

Self-supervised learning for vision: a recipe names the parts, sslkit trains them.

commands:
{commands}

  sslkit COMMAND --help    what a command takes, with an example
  sslkit --version         the version

start with:  sslkit fit --recipe quickstart
"""


def main(argv: Sequence[str]) -> int:
    """Run the command line.

    Returns:
        the exit code: 0; 2 for a mistake that the user can mend; 1 for a run that failed; 128 + n after signal n.
    """
    told, threading.excepthook = threading.excepthook, _tell_thread
    try:
        code = _dispatch(list(argv))
        # what was printed may still wait to be written
        failed = streams.failure(sys.stdout)
        return _unheard(failed) if failed is not None and code == 0 else code
    except UserError as error:
        return _tell(error, 2)
    except RunError as error:
        return _tell(error, 1)
    except Stopped as stopped:
        streams.complain(str(stopped))
        return stopped.exit_code
    except KeyboardInterrupt:
        return _tell(UserError("interrupted"), 130)
    except OSError as error:
        if isinstance(error, BrokenPipeError) and streams.unread(sys.stdout):
            return _unheard(error)
        if error.errno not in _DISK_ERRORS:
            raise
        return _tell(RunError(f"{error.filename or 'standard output or a file'}: {error.strerror}"), 1)
    finally:
        threading.excepthook = told


def console() -> None:
    """The console script."""
    streams.open_closed()
    code = main(sys.argv[1:])
    # what cannot be written any more must not change the exit code
    streams.failure(sys.stdout)
    streams.failure(sys.stderr)
    sys.exit(code)


def _dispatch(argv: list[str]) -> int:
    listed = "\n".join(f"  {name:9} {summary}" for name, (_, summary) in COMMANDS.items())
    text = HELP.format(commands=listed)
    if not argv:
        streams.complain(text.rstrip())
        return 2
    command, *words = argv
    if command in ("-h", "--help", "help"):
        print(text, end="")
        return 0
    if command == "--version":
        print(f"sslkit {sslkit.__version__}")
        return 0
    if command.startswith("-"):
        raise UserError(f"name the command first, as in `sslkit fit {command} ...`; there are: {', '.join(COMMANDS)}")
    if command not in COMMANDS:
        raise UserError(f"there is no command {command!r}; {_command_hint(command)}")
    try:
        code: int = import_module(COMMANDS[command][0]).run(words)
    except SystemExit as stop:  # argparse, after --help
        return stop.code if isinstance(stop.code, int) else 2
    return code


def _command_hint(command: str) -> str:
    """The command that another tool's word stands for, else the nearest one."""
    from sslkit.recipe import synonyms

    word = command.lower().replace("-", "_")
    for meant, words in synonyms.COMMANDS.items():
        if word in words.split() and (meant.startswith("-") or meant.split()[0] in COMMANDS):
            return f"did you mean `sslkit {meant}`?"
    return nearest(command, COMMANDS)


def _tell_thread(failed: threading.ExceptHookArgs) -> None:
    """A line of what a thread met that a library has started, as TensorBoard's writer where the disk is gone."""
    trace = failed.exc_traceback
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = f" ({trace.tb_frame.f_code.co_filename}:{trace.tb_lineno})" if trace is not None else ""
    name = failed.thread.name if failed.thread is not None else "a thread"
    streams.complain(f"WARNING: {name} failed: {failed.exc_type.__name__}: {failed.exc_value}{where}")


def _tell(error: UserError | RunError, code: int) -> int:
    if speaks():
        streams.complain(f"error: {error}")
    # what all meet alike the first process of each machine tells: another machine may have another disk
    elif not error.on_every_rank or os.environ.get("LOCAL_RANK") == "0":
        streams.complain(f"error in process {os.environ['RANK']}: {error}")
    return code


def _unheard(failed: OSError) -> int:
    """The exit code of a command whose standard output cannot be written."""
    streams.silence(sys.stdout)
    if isinstance(failed, BrokenPipeError):
        return 0  # the reader had enough (`| head`)
    return _tell(RunError(f"standard output cannot be written: {failed.strerror}", on_every_rank=True), 1)
