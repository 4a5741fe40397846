# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Registries: names for the parts that a config or a flag selects."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

_T = TypeVar("_T")
_Entry = TypeVar("_Entry")


class Registry(Generic[_T]):
    """The parts of one kind, by name.

    Args:
      kind: noun for messages, such as "backbone".
      package: name of the package whose modules register the parts. They are imported before the
        first lookup, so that a new module needs no mention elsewhere. None if the modules are
        imported by other means.

    Example:
    >>> COLORS = Registry("color")
    >>> @COLORS.register("red")
    ... def red(): ...
    >>> COLORS.get("red") is red
    True
    >>> COLORS.names()
    ('red',)
    """

    def __init__(self, kind: str, package: str | None = None) -> None:
        self.kind = kind
        self._package = package
        self._entries: dict[str, _T] = {}

    def register(self, name: str) -> Callable[[_Entry], _Entry]:
        """Return a decorator that registers a part under this name and returns the part.

        A part that is defined again, as in a notebook cell, replaces the previous one.

        Raises:
          ValueError: another part has this name.
        """

        def add(entry: _Entry) -> _Entry:
            if name in self._entries and _origin(entry) != _origin(self._entries[name]):
                raise ValueError(
                    f"The {self.kind} {name!r} is registered twice; rename one of them."
                )
            self._entries[name] = entry  # type: ignore[assignment]
            return entry

        return add

    def get(self, name: object, where: str | None = None) -> _T:
        """Return the part with this name.

        Args:
          name: the name, which may come from a user.
          where: the setting or flag that the name comes from, for the message.

        Raises:
          ValueError: there is none; the message names the nearest and all known names.
        """
        names = self.names()
        if isinstance(name, str) and name in self._entries:
            return self._entries[name]
        near = difflib.get_close_matches(str(name), names, n=1)
        guess = f"did you mean {near[0]!r}? The known names are " if near else "use one of "
        raise ValueError(f"{where or self.kind} is {name!r}; {guess}{', '.join(names)}.")

    def names(self) -> tuple[str, ...]:
        """Return all names, sorted."""
        self._import_modules()
        return tuple(sorted(self._entries))

    def __getitem__(self, name: str) -> _T:
        """Return the part with this name, as `get` does."""
        return self.get(name)

    def __contains__(self, name: object) -> bool:
        """Return whether a part has this name."""
        return name in self.names()

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names, sorted."""
        return iter(self.names())

    def _import_modules(self) -> None:
        if self._package is None:
            return
        package, self._package = importlib.import_module(self._package), None
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            importlib.import_module(module.name)


def _origin(entry: object) -> object:
    """Return where a part is defined, or the part itself if that is unknown."""
    name = getattr(entry, "__qualname__", None)
    return entry if name is None else (getattr(entry, "__module__", None), name)
