# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Compares an imported model with its TF-Hub module, and infers how the module cleans sentences.

Both embed the same clip, audio and sentences. How a module turns a sentence into word ids is
defined only by its graph, so different rules are tried for the rows of padding and unknown words,
case, punctuation and stop words. The tokenizer that agrees best is kept.
"""

from __future__ import annotations

import dataclasses
import itertools
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from mmv_tf.graphs import EmbeddingGraph
from mmv_tf.inference.graph_network import GraphNetwork
from mmv_tf.inference.module_network import ModuleNetwork
from mmv_tf.inference.network import AUDIO, TEXT, VIDEO, Network
from mmv_tf.layers import MilNceTokenizer, WordTokenizer
from mmv_tf.layers.word_tokenizer import ENGLISH_STOP_WORDS, FIRST_WORD_ID, PUNCTUATION
from mmv_tf.pretrained import words_of_module
from mmv_tf.pretrained.table_words import is_special, spoken_forms

logger = logging.getLogger(__name__)

# Ours: a different summation order in the same function stays far below it.
TOLERANCE = 1e-3
_SEED = 0
_UNKNOWN = "zqxjvkw"
# Ours: rows without a word that are tried as those of padding and unknown words.
_MOST_SPECIAL_ROWS = 4


@dataclasses.dataclass(frozen=True)
class Difference:
    """The largest difference in a feature, and the root mean square of the module's values."""

    greatest: float
    rms: float

    @property
    def agrees(self) -> bool:
        """True if the difference is within rounding error."""
        return self.greatest <= TOLERANCE * self.rms


@dataclasses.dataclass(frozen=True)
class ModuleCheck:
    """The result of a comparison.

    Attributes:
      differences: "MODALITY/FEATURE" -> `Difference`.
      rules: rules of the tokenizer that agrees best; None if no search was made.
    """

    differences: Mapping[str, Difference]
    rules: Mapping[str, Any] | None = None

    @property
    def agrees(self) -> bool:
        """True if all differences are within rounding error."""
        return all(difference.agrees for difference in self.differences.values())

    def summary(self) -> dict[str, Any]:
        """Return the result as plain values; long lists of stop words become counts."""
        rules = None if self.rules is None else dict(self.rules)
        if rules is not None and len(rules["stop_words"]) > _MOST_SPECIAL_ROWS:
            rules["stop_words"] = f"{len(rules['stop_words'])} words"
        differences = {
            name: {"greatest": one.greatest, "rms": one.rms, "agrees": one.agrees}
            for name, one in self.differences.items()
        }
        return {"agrees": self.agrees, "rules": rules, "differences": differences}


def check_against_module(model: EmbeddingGraph, path: str | os.PathLike[str]) -> ModuleCheck:
    """Compare an imported model with its module and set the tokenizer that agrees best.

    Args:
      model: the model. Its tokenizer is replaced, except a `MilNceTokenizer`, whose rules are
        known. Words come from the module, or from the tokenizer if the module has none.
      path: the module's folder.

    Raises:
      ValueError: the module can't be read, or has no modality in common with the model.
    """
    module, network = ModuleNetwork(path), GraphNetwork(model)
    common = [name for name in module.modalities if name in network.modalities]
    if not common:
        raise ValueError(
            f"{module.path} embeds {', '.join(module.modalities)}, but the network embeds "
            f"{', '.join(network.modalities)}, so there is nothing to compare; pass the network's "
            "own module."
        )
    for modality in common:
        _check_dims(modality, network.dims(modality), module.dims(modality))
    rules, sentences = _give_tokenizer(model, module) if TEXT in common else (None, None)
    differences = {}
    for modality, inputs in _inputs(module, sentences).items():
        if modality in common:
            found, wanted = (one.run(modality, inputs) for one in (network, module))
            for name in found.keys() & wanted.keys():
                greatest = np.abs(found[name] - wanted[name]).max()
                rms = np.sqrt(np.mean(wanted[name] ** 2))
                differences[f"{modality}/{name}"] = Difference(float(greatest), float(rms))
    return ModuleCheck(dict(sorted(differences.items())), rules)


def _check_dims(modality: str, ours: Mapping[str, int], modules: Mapping[str, int]) -> None:
    for name in ours.keys() & modules.keys():
        if ours[name] != modules[name]:
            raise ValueError(
                f"{modality}/{name} has {ours[name]} values in the network and {modules[name]} in "
                "the module, so they don't belong together; pass the network's own module."
            )


def _inputs(module: Network, sentences: Sequence[str] | None) -> dict[str, Any]:
    """Return the clip, audio and sentences to embed, the same in each run."""
    generator = np.random.default_rng(_SEED)
    settings = module.settings
    frames, size = settings.num_frames or 32, settings.size or 200
    inputs: dict[str, Any] = {}
    if VIDEO in module.modalities:
        inputs[VIDEO] = generator.random((1, frames, size, size, 3), np.float32)
    if AUDIO in module.modalities:
        rate = settings.sample_rate or 48_000
        times = np.arange(round(3.2 * rate)) / rate  # The length that the model cards recommend.
        inputs[AUDIO] = np.stack(
            [
                generator.uniform(-0.5, 0.5, len(times)),
                0.4 * np.sin(2 * np.pi * (200 + 400 * times) * times),
            ]
        ).astype(np.float32)
    if sentences is not None:
        inputs[TEXT] = sentences
    return inputs


# Sentences, and the rules that they distinguish.


def _sentences(words: Sequence[str], silent: Sequence[str]) -> list[str]:
    """Return sentences that the rules clean differently, each with a word known under every rule.

    Args:
      words: words of the table.
      silent: words that may be stop words.
    """
    generator = np.random.default_rng(_SEED)
    stop_words = {*ENGLISH_STOP_WORDS, *silent}
    plain = [w for w in words if w.isascii() and w.isalpha() and w.islower()]
    plain = [w for w in plain if len(w) > 2 and w not in stop_words] or list(words)

    def some(candidates: Sequence[str], count: int) -> list[str]:
        size = min(count, len(candidates))
        return [candidates[i] for i in generator.choice(len(candidates), size, replace=False)]

    first, second, third = (some(plain, 3) * 3)[:3]
    known = set(words)
    odd = [w for w in words if not w.isalpha() and not is_special(w)]
    capital = [w for w in words if w != w.lower() and not is_special(w)]
    stops = [w for w in (*ENGLISH_STOP_WORDS, *silent) if w in known]
    return [
        *(" ".join(some(plain, count)) for count in (1, 2, 3, 5, 8, 12, 16)),
        " ".join(some(plain, 24)),
        f"{first.upper()} {second.capitalize()} {third}",
        f"{first}, {second}. {third}! {first}",
        f"{first}-{second} {third}",
        f"{first}'s {second}",
        f"{first}_{second} {third}",
        f"{first} {_UNKNOWN} {second}",
        f"{_UNKNOWN} {first}",
        *(f"{first} {word}" for word in some(odd, 8)),
        *(f"{first} {word}" for word in some(capital, 8)),
        *(f"{word} {second}" for word in some(stops, 16)),
        *(f"{first} {word}" for word in ("don't", "it's", "e-mail", "U.S.")),
    ]


@dataclasses.dataclass(frozen=True)
class _Rules:
    """A set of rules for cleaning sentences.

    Attributes:
      shift: number to add to the module's ids.
      unknown_id: the row for unknown words; None to leave them out.
      stop_words: name of a list in the candidates.
      spoken: whether words also match in the form that `WordTokenizer` normalizes them to.
    """

    shift: int = 0
    padding_id: int = 0
    unknown_id: int | None = None
    lower: bool = True
    punctuation: str = "joined"
    stop_words: str = "ours"
    spoken: bool = False


class _Candidates:
    """Tokenizers over a table's words, one for each set of rules.

    Args:
      words: word -> id.
      rows: number of rows in the table.
      max_words: maximum number of words in a sentence.
      silent: words that on their own do not change the module's embedding.
    """

    def __init__(self, words: Mapping[str, int], rows: int, max_words: int, silent: Sequence[str]):
        self.words = {word: row for word, row in words.items() if not is_special(word)}
        self._rows = rows
        self._max_words = max_words
        self._spoken = spoken_forms(self.words)
        self._stop_words = {"ours": ENGLISH_STOP_WORDS, "none": (), "measured": tuple(silent)}
        self.shifts = range(-min(self.words.values()), rows - max(self.words.values()))

    def axes(self) -> dict[str, Any]:
        """Return rules -> values to try, in the order in which to settle the rules."""
        return {
            "shift": sorted(self.shifts, key=abs),
            "padding_id": [0, *self._free_rows()],
            "punctuation": list(PUNCTUATION),
            "lower": [True, False],
            "spoken": [False, True],
            "stop_words": list(self._stop_words),
            "unknown_id": [None, *self._free_rows()],
        }

    def _free_rows(self) -> list[int]:
        """Return the first rows that have no word under one of the shifts."""
        ids = set(self.words.values())
        rows = {row for shift in self.shifts for row in range(self._rows) if row - shift not in ids}
        return sorted(rows)[:_MOST_SPECIAL_ROWS] + sorted(rows)[_MOST_SPECIAL_ROWS:][-1:]

    def make(self, rules: _Rules) -> WordTokenizer | None:
        """Return the tokenizer, or None if unknown words would get a word's row."""
        words = {**self.words, **(self._spoken if rules.spoken else {})}
        ids = [row + rules.shift for row in words.values()]
        if rules.unknown_id in ids:
            return None
        cleaning: dict[str, Any] = {"lower": rules.lower, "punctuation": rules.punctuation}
        return WordTokenizer(
            list(words),
            self._max_words,
            stop_words=_sayable(self._stop_words[rules.stop_words], cleaning),
            keep_unknown=rules.unknown_id is not None,
            word_ids=ids,
            padding_id=rules.padding_id,
            unknown_id=rules.unknown_id,
            **cleaning,
        )


def _sayable(words: Sequence[str], cleaning: Mapping[str, Any]) -> list[str]:
    """Return the words that a cleaned sentence can contain."""
    if not words:
        return []
    split = WordTokenizer(["unused"], **cleaning).split(tf.constant(words)).to_list()
    return [word for word, parts in zip(words, split, strict=True) if parts == [word.encode()]]


def _give_tokenizer(
    model: Any, module: ModuleNetwork
) -> tuple[dict[str, Any] | None, list[str] | None]:
    """Set the tokenizer under which a model embeds sentences as the module does.

    Returns:
      Its rules, or None if the tokenizer stays; and the sentences, or None if no words are known.
    """
    if isinstance(model.tokenizer, MilNceTokenizer):
        return None, _sentences([str(word) for word in model.tokenizer.vocabulary], ())
    space = module.spaces(TEXT)[-1]
    found = []
    for words in _word_sources(model, module):
        listed = [word for word in words if not is_special(word)]
        silent = _silent(listed, module)
        sentences = _sentences(listed, silent)
        candidates = _Candidates(
            words, model.text.vocabulary_size, model.metadata.get("max_words", 16), silent
        )
        score = _Score(model, candidates, sentences, module.run(TEXT, sentences)[space], space)
        rules = _search(candidates.axes(), score)
        found.append((score(rules), candidates.make(rules), rules, sentences))
        if score(rules) < TOLERANCE:
            break
    if not found:
        return None, None
    _, model.tokenizer, rules, sentences = min(found, key=lambda one: one[0])
    told = dataclasses.asdict(rules)
    return {**told, "stop_words": list(model.tokenizer.stop_words)}, sentences


def _silent(words: Sequence[str], module: ModuleNetwork) -> list[str]:
    """Return words that on their own do not change the module's embedding; none if all are."""
    silent = [
        word for word, known in zip(words, module.known(words).tolist(), strict=True) if not known
    ]
    return silent if len(silent) < len(words) else []


class _Score:
    """Mean distance between a model's and a module's sentence embeddings, under given rules.

    Distances are relative to the norm of the module's embedding, at most 1.
    """

    def __init__(
        self,
        model: Any,
        candidates: _Candidates,
        sentences: Sequence[str],
        wanted: np.ndarray,
        space: str,
    ):
        self._model = model
        self._candidates = candidates
        self._sentences = list(sentences)
        self._wanted = wanted
        self._space = space
        self._scores: dict[_Rules, float] = {}

    def __call__(self, rules: _Rules) -> float:
        if rules not in self._scores:
            tokenizer = self._candidates.make(rules)
            self._scores[rules] = np.inf if tokenizer is None else self._distance(tokenizer)
        return self._scores[rules]

    def _distance(self, tokenizer: WordTokenizer) -> float:
        ids = tokenizer(self._sentences)
        found = self._model({TEXT: ids}, training=False)[TEXT][self._space].numpy()
        lengths = np.maximum(np.linalg.norm(self._wanted, axis=1), 1e-12)
        apart = np.linalg.norm(found - self._wanted, axis=1) / lengths
        return float(np.minimum(apart, 1.0).mean())


def _search(axes: Mapping[str, Sequence[Any]], score: Callable[[_Rules], float]) -> _Rules:
    """Return the best rules: the rows jointly first, then rule by rule until none improves."""
    rows = itertools.product(axes["shift"], axes["padding_id"])
    best = min((_Rules(shift=shift, padding_id=row) for shift, row in rows), key=score)
    for _ in range(3):
        before = best
        for name, values in axes.items():
            # The present value comes first, because ties keep the first value.
            tried = [getattr(best, name), *values]
            best = min((dataclasses.replace(best, **{name: value}) for value in tried), key=score)
        if best == before:
            break
    return best


def _word_sources(model: Any, module: ModuleNetwork) -> list[Mapping[str, int]]:
    """Return word -> id from the module and from the tokenizer, where available."""
    sources: list[Mapping[str, int]] = []
    try:
        words = words_of_module(module.path)
        if max(words.values()) - min(words.values()) < model.text.vocabulary_size:
            sources.append(words)
    except ValueError as error:
        logger.warning("%s", error)
    tokenizer = model.tokenizer
    if type(tokenizer) is WordTokenizer:
        # Keras returns NumPy strings.
        listed, ids = [str(word) for word in tokenizer.vocabulary], tokenizer.word_ids
        if ids is None:
            ids = np.arange(FIRST_WORD_ID, FIRST_WORD_ID + len(listed))
        sources.append(dict(zip(listed, ids.tolist(), strict=True)))
    return sources
