# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Flags, errors and exit statuses common to all programs."""

from __future__ import annotations

import difflib
import errno
import functools
import itertools
import os
import re
import select
import signal
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from absl import app, flags, logging

from mmv_tf.util.storage import workspace
from mmv_tf.util.storage.urls import named_in

if TYPE_CHECKING:
    import ml_collections

# Flags are attributed to the program that calls this, so that its --help shows them.
flags.disclaim_key_flags()

FAILED = 1
WRONG_USAGE = 2
PREEMPTED = 42
INTERRUPTED = 130

# The package's configurations, as listed by help and completion.
CONFIGS = ("quickstart", "own_videos", "howto100m_audioset")

_NO_SPACE = os.strerror(errno.ENOSPC)

# absl's message for a missing required flag.
_REQUIRED = re.compile(r"Flag (--\w+) must have a value other than None")
HELP_FLAGS = ("-h", "-help", "--help", "-helpshort", "--helpshort", "-?", "--?")

# Former names of flags -> their replacements, of which a program has one. A name that ends in a dot
# belongs to `define_overrides`.
RENAMED = {
    "batch": ("batch_size",),
    "clips": ("num_clips", "batch_size", "host_batch_size"),
    "data": ("trained_on",),
    "dictionary": ("vocabulary",),
    "directory": ("data", "index"),
    "encoder": ("image_model",),
    "film": ("video",),
    "films": ("num_videos",),
    "folder": ("work_dir",),
    "folders": ("images",),
    "frames": ("num_frames",),
    "images": ("deflate",),
    "licence": ("license",),
    "model_base_path": ("saved_model",),
    "network": ("architecture",),
    "pictures": ("image_set",),
    "port": ("grpc_port", "http_port"),
    "quality": ("jpeg_quality",),
    "repeats": ("rounds",),
    "rest_api_port": ("http_port",),
    "results": ("limit", "output"),
    "seconds": ("window_seconds",),
    "sentence": ("text",),
    "set": ("protocol.",),
    "setting": ("settings.",),
    "sound": ("audio_format",),
    "sounds": ("audio",),
    "weights": ("weights_dtype", "query_weights", "parameters"),
}


class UsageError(ValueError):
    """Flags can't be used together, although each is valid; the exit status is 2."""


def define_config(
    default: str | None = None,
) -> Callable[[Sequence[str]], ml_collections.ConfigDict]:
    """Define --config=FILE or FILE:ARG, whose settings --config.section.key=value changes.

    Args:
      default: file to use without the flag; None if the flag is required.

    Returns:
      A function that reads the configuration after the flags are parsed. It accepts overrides
      "section.key=value", which precede those of the command line. It raises a `UsageError` for an
      unknown file or setting, suggesting the closest setting.
    """
    path = flags.DEFINE_string(
        "config",
        default,
        f"Configuration: {', '.join(CONFIGS)}, or a Python file with get_config(ARG); NAME:ARG or "
        "FILE:ARG passes the argument.",
        required=default is None,
    )
    overrides = define_overrides("config", "Change a setting of the configuration.")

    def load(more: Sequence[str] = ()) -> ml_collections.ConfigDict:
        # Imported here, because most programs don't need it.
        from mmv_tf.util.configuration import load_config

        try:
            return load_config(path.value, [*more, *overrides.value])
        except ValueError as error:
            raise UsageError(str(error)) from error

    return load


def define_overrides(
    name: str, help_string: str, values: flags.FlagValues = flags.FLAGS
) -> flags.FlagHolder[list[str]]:
    """Define --NAME.section.key=value, which can be repeated; see `configuration.override`.

    Returns:
      The flag, whose value is a list of "section.key=value".
    """
    return flags.DEFINE_multi_string(
        f"{name}.", [], f"--{name}.KEY=VALUE: {help_string}", flag_values=values
    )


def gather_overrides(argv: Sequence[str], values: flags.FlagValues = flags.FLAGS) -> list[str]:
    """Spell "--config.key=value" and "--config.key value" as values of the flag "config."."""
    spelled: list[str] = []
    arguments = iter(argv)
    for argument in arguments:
        if argument == "--":
            return [*spelled, argument, *arguments]
        name, dot, setting = argument.partition(".")
        if argument.startswith("-") and dot and f"{name.lstrip('-')}." in values:
            if "=" not in setting:
                setting = "=".join([setting, *itertools.islice(arguments, 1)])
            argument = f"{name}.={setting}"
        spelled.append(argument)
    return spelled


def run(
    main: Callable[[list[str]], int | None],
    argv: Sequence[str] | None = None,
    arguments: bool = False,
) -> None:
    """Parse the flags, call `main` and exit with the status documented in the module's docstring.

    Args:
      main: takes [program name, *arguments] and returns the exit status, None for 0.
      argv: the program's name and arguments; by default, those of the command line.
      arguments: whether to allow arguments that are not flags.
    """
    if "traceback" not in flags.FLAGS:
        flags.DEFINE_bool("traceback", False, "Show the traceback of an error.")

    def guarded(values: list[str]) -> int:
        if not flags.FLAGS["verbosity"].present:
            logging.set_verbosity(logging.WARNING)  # hides TensorFlow's notes
        try:
            with workspace.tallied(), workspace.entered(values) as local:
                status = main(local) or 0
            sys.stdout.flush()
            return status
        except UsageError as error:
            return _complain(error, WRONG_USAGE)
        except (OSError, ValueError) as error:
            if isinstance(error, BrokenPipeError) and _output_is_closed():
                raise
            return _complain(error, FAILED)
        except KeyboardInterrupt as error:
            return _complain(error, INTERRUPTED)
        except Exception as error:
            # TensorFlow and HDF5 report a full disk with their own errors.
            if _NO_SPACE not in str(error):
                raise
            return _complain(OSError(errno.ENOSPC, _NO_SPACE), FAILED)

    try:
        app.run(
            guarded,
            argv=list(argv) if argv is not None else None,
            flags_parser=functools.partial(_parse, arguments=arguments),
        )
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        if not _output_is_closed():
            raise
        _end_quietly()


def show(text: str) -> None:
    """Print a text in one write; the program ends if nobody reads it."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        _end_quietly()


def _end_quietly() -> None:
    """End the program, as in `mmv ... | head` when enough has been read."""
    # Python flushes the output once more as it exits.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(FAILED)


def _output_is_closed() -> bool:
    """Return whether nobody reads the standard output any more."""
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))


def run_commands(
    commands: Mapping[str, tuple[Callable[[], None], Callable[[list[str]], int | None]]],
    argv: Sequence[str] | None = None,
    with_arguments: Collection[str] = (),
) -> None:
    """Run a program with subcommands: `PROGRAM COMMAND --flag=value ...`.

    Args:
      commands: name -> a function that defines the command's flags, so that other commands' flags
        are unknown, and the command's main. The former's docstring is shown as help.
      argv: see `run`.
      with_arguments: names of the commands that accept arguments other than flags.
    """
    argv = list(sys.argv if argv is None else argv)
    name = argv[1] if len(argv) > 1 else ""
    if name in commands:
        define, main = commands[name]
        sys.modules["__main__"].__doc__ = _describe_command(name, define)
        define()
        run(main, [argv[0], *argv[2:]], name in with_arguments)
        return
    if name in HELP_FLAGS:
        listed = [
            f"  {known:<8}{(define.__doc__ or '').strip()}"
            for known, (define, _) in commands.items()
        ]
        hint = "COMMAND --help shows the flags of a command."
        show("\n".join([sys.modules["__main__"].__doc__ or "", *listed, "", hint]))
        sys.exit(0)
    guess = nearest(name, list(commands)) if name else None
    hint = f"did you mean {guess}?" if guess else f"expected one of {', '.join(commands)}."
    sys.exit(_wrong_usage(f"unknown command {name!r}; {hint} See --help."))


def stop_on_sigterm() -> list[int]:
    """Make SIGTERM act like Ctrl-C; the returned list holds the signal after SIGTERM."""
    seen: list[int] = []

    def stop(number: int, frame: object) -> None:
        del frame
        seen.append(number)
        os.kill(os.getpid(), signal.SIGINT)

    signal.signal(signal.SIGTERM, stop)
    return seen


def nearest(name: str, choices: Sequence[str]) -> str | None:
    """Return the one of `choices` that `name` was most likely meant to be, or None."""
    matches = difflib.get_close_matches(name, choices, n=1, cutoff=0.5)
    return matches[0] if matches else None


def _parse(argv: list[str], arguments: bool = False) -> list[str]:
    """Parse flags; --help and mistakes end the program here."""
    given = argv[1 : argv.index("--")] if "--" in argv else argv[1:]
    if any(argument in HELP_FLAGS for argument in given):
        show(_help())
        sys.exit(0)
    try:
        rest = flags.FLAGS(gather_overrides(argv))
    except flags.UnrecognizedFlagError as error:
        sys.exit(_wrong_usage(_unknown(error.flagname)))
    except flags.Error as error:
        missing = _REQUIRED.search(str(error))
        problem = f"{missing[1]} is missing" if missing else _one_line(str(error))
        sys.exit(_wrong_usage(f"{problem}; see --help."))
    if len(rest) > 1 and not arguments:
        sys.exit(
            _wrong_usage(
                f"unexpected argument {rest[1]!r}; give only flags, as --name=value; see --help."
            )
        )
    return rest


def _help() -> str:
    """Return the program's description and flags."""
    # absl lists the flags under the path of the program's file.
    described = flags.FLAGS.main_module_help().replace(f"{sys.argv[0]}:\n", "", 1).strip("\n")
    return f"{sys.modules['__main__'].__doc__}\nflags:\n\n{described}"


def _describe_command(name: str, define: Callable[[], None]) -> str:
    """Return a command's description: its own, and the program's examples of it."""
    whole = sys.modules["__main__"].__doc__ or ""
    examples = [line for line in whole.splitlines() if re.match(rf"  mmv \w+ {name}\b", line)]
    return "\n".join([(define.__doc__ or "").strip(), "", *examples, ""])


def _unknown(name: str) -> str:
    """Return what to write instead of an unknown flag."""
    # "--no" before a flag's name turns a boolean off.
    former = name if name in RENAMED else name.removeprefix("no")
    for new in RENAMED.get(former, ()):
        if new in flags.FLAGS:
            spelled = f"{new}KEY=VALUE" if new.endswith(".") else new
            return f"--{former} is now --{spelled}; see --help."
    names = [known for known in flags.FLAGS if len(known) > 1 and not known.endswith(".")]
    guess = nearest(name, names)
    hint = f"did you mean --{guess}?" if guess else "see --help."
    return f"unknown flag --{name}; {hint}"


def _wrong_usage(message: str) -> int:
    print(f"error: {message}", file=sys.stderr)
    return WRONG_USAGE


def _complain(error: BaseException, status: int) -> int:
    """Print an error on one line, and its traceback if requested."""
    if flags.FLAGS.is_parsed() and flags.FLAGS.traceback:
        logging.exception("The error's traceback:")
    if isinstance(error, KeyboardInterrupt):
        hint = _one_line(str(error))
        print(f"interrupted{f': {hint}' if hint else ''}", file=sys.stderr)
    else:
        print(f"error: {_describe(error)}", file=sys.stderr)
    return status


def _describe(error: BaseException) -> str:
    """Return one line; for an operating-system error, its file and reason."""
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename is not None else ""
        full = (
            "; free some space and rerun the same command." if error.errno == errno.ENOSPC else ""
        )
        return _one_line(f"{where}{error.strerror}{full}")
    return _one_line(str(error)) or type(error).__name__


def _one_line(text: str) -> str:
    return named_in(" ".join(text.split()))
