# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Print a script that completes programs, commands and flags in bash, zsh or fish.

  mmv completion bash > ~/.local/share/bash-completion/completions/mmv
  mmv completion zsh > DIR/_mmv          with DIR in $fpath, before compinit
  mmv completion fish > ~/.config/fish/completions/mmv.fish

The script is self-contained: completing starts no program. Values of flags complete to what the
flag allows, to configuration names, or to files.
"""

from __future__ import annotations

import functools
import json
import pathlib
import shlex
import string
from collections.abc import Callable, Sequence
from typing import Any

from mmv_tf.util import command_line

_TABLE = pathlib.Path(__file__).with_name("flag_table.json")

# Bash splits --flag=value into three words at the equals sign.
_BASH = string.Template("""\
_mmv() {
  local current=$${COMP_WORDS[COMP_CWORD]} previous=$${COMP_WORDS[COMP_CWORD-1]}
  local place=$${COMP_WORDS[1]} flag= words=
  [[ $$COMP_CWORD -gt 2 ]] && case "$${COMP_WORDS[1]} $${COMP_WORDS[2]}" in
    $commands) place="$${COMP_WORDS[1]} $${COMP_WORDS[2]}" ;;
  esac
  COMPREPLY=()
  if [[ $$current == = ]]; then flag=$$previous current=
  elif [[ $$previous == = ]]; then flag=$${COMP_WORDS[COMP_CWORD-2]}
  fi
  if [[ $$COMP_CWORD -eq 1 ]]; then words='$programs'
  elif [[ -n $$flag ]]; then
    case "$$place $$flag" in
$values
    esac
  elif [[ $$current == -* || $$COMP_CWORD -eq 2 ]]; then
    case "$$place" in
$places
    esac
  fi
  COMPREPLY=($$(compgen -W "$$words" -- "$$current"))
  [[ $${COMPREPLY[0]-} == --*= ]] && compopt -o nospace 2>/dev/null
  return 0
}
complete -o bashdefault -o default -F _mmv mmv
""")

_ZSH = string.Template("""\
#compdef mmv
_mmv() {
  local place=$$words[2] flag
  local -a found
  case "$$words[2] $$words[3]" in
    $commands) (( CURRENT > 3 )) && place="$$words[2] $$words[3]" ;;
  esac
  if (( CURRENT == 2 )); then
    found=($programs)
  elif [[ $$PREFIX == --*=* ]]; then
    flag=$${PREFIX%%=*}
    compset -P '*='
    case "$$place $$flag" in
$values
    esac
  elif [[ $$PREFIX == -* || $$CURRENT -eq 3 ]]; then
    case "$$place" in
$places
    esac
  fi
  if (( ! $$#found )); then _files; return; fi
  compadd -S '' -- $${(M)found:#*=}
  compadd -- $${found:#*=}
}
if [[ $$funcstack[1] == _mmv ]]; then _mmv "$$@"; else compdef _mmv mmv; fi
""")


def main(argv: Sequence[str]) -> None:
    """Print the script for a shell."""
    scripts: dict[str, Callable[[dict[str, Any]], str]] = {
        "bash": functools.partial(_with_cases, _BASH, "words='{}'"),
        "zsh": functools.partial(_with_cases, _ZSH, "found=({})"),
        "fish": _fish,
    }
    if len(argv) != 2 or argv[1] not in scripts:
        given = " ".join(argv[1:])
        raise command_line.UsageError(f"got {given!r}; expected one of {', '.join(scripts)}.")
    table = json.loads(_TABLE.read_text(encoding="utf-8"))
    command_line.show(scripts[argv[1]](table).rstrip("\n"))


def _with_cases(template: string.Template, words: str, table: dict[str, Any]) -> str:
    """Fill in the template for bash or zsh.

    Args:
      template: the script.
      words: format of a case's words in this shell, with {} for the words.
      table: content of flag_table.json.
    """
    commands = [place for place in table if " " in place]
    places, values = [], []
    for place, entry in table.items():
        own = [name.split()[1] for name in commands if name.startswith(f"{place} ")]
        spelled = own or [
            word for name, kind in entry["flags"].items() for word in _spell(name, kind)
        ]
        places.append(f"      {_pattern(place)}) {words.format(' '.join(spelled))} ;;")
        for name, kind in entry["flags"].items():
            if choices := _choices(name, kind):
                pattern = _pattern(f"{place} --{name}")
                values.append(f"      {pattern}) {words.format(' '.join(choices))} ;;")
    return template.substitute(
        programs=" ".join(_programs(table)),
        commands="|".join(map(_pattern, commands)),
        places="\n".join(places),
        values="\n".join(values),
    )


def _fish(table: dict[str, Any]) -> str:
    """Return one line per word."""
    top = "not __fish_seen_subcommand_from $programs"
    lines = [f"set -l programs {' '.join(_programs(table))}", "complete -c mmv -e"]
    for place, entry in table.items():
        program, _, command = place.partition(" ")
        own = [name.split()[1] for name in table if name.startswith(f"{place} ")]
        seen = f"__fish_seen_subcommand_from {program}"
        if command:
            condition = (
                f"{seen}; and not __fish_seen_subcommand_from {' '.join(_siblings(table, program))}"
            )
            lines.append(f'complete -c mmv -f -n "{condition}" -a {command} -d {_quoted(entry)}')
            condition = f"{seen}; and __fish_seen_subcommand_from {command}"
        else:
            lines.append(f'complete -c mmv -f -n "{top}" -a {program} -d {_quoted(entry)}')
            condition = seen
        if own:
            continue
        for name, kind in entry["flags"].items():
            choices = _choices(name, kind)
            takes = "" if kind == "bool" else f" -x -a '{' '.join(choices)}'" if choices else " -r"
            lines.append(f'complete -c mmv -n "{condition}" -l {name}{takes}')
    return "\n".join(lines)


def _programs(table: dict[str, Any]) -> list[str]:
    return [place for place in table if " " not in place]


def _siblings(table: dict[str, Any], program: str) -> list[str]:
    return [place.split()[1] for place in table if place.startswith(f"{program} ")]


def _quoted(entry: dict[str, Any]) -> str:
    return shlex.quote(entry["summary"].replace("'", ""))


def _pattern(words: str) -> str:
    return words.replace(" ", "\\ ")


def _spell(name: str, kind: str | list[str]) -> list[str]:
    """Return a flag as it is typed; a setting's name follows `--config.`."""
    return [f"--{name}" if kind == "bool" or name.endswith(".") else f"--{name}="]


def _choices(name: str, kind: str | list[str]) -> Sequence[str]:
    """Return the values to offer; none where files are offered."""
    if name == "config":
        return command_line.CONFIGS
    return kind if isinstance(kind, list) else ()


if __name__ == "__main__":
    command_line.run(main, arguments=True)
