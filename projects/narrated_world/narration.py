# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Narrations: coarse facts only, in varied words, and often about another moment.

Each clip of two seconds has two narrations. Each is about the clip itself, the previous clip, the
next clip, or nothing visible, with configurable shares. Half of the narrations about another moment
indicate this ("we just saw ..."), as people do. A narration names one to three coarse facts.
"""

from __future__ import annotations

import re

import numpy as np

from projects.narrated_world import counter_random
from projects.narrated_world.scenes import COLOURS, EPISODE_CLIPS, MOTIONS, SHAPES, episode_coarse

# Possible topics of a narration.
ABOUT = ("this", "before", "after", "nothing")
THIS, BEFORE, AFTER, NOTHING = range(len(ABOUT))
CLIP_NARRATIONS = 2
# Duration in seconds; a narration begins at a random time in its half of the clip.
NARRATION_SECONDS = 0.4

_SHAPE_WORDS = {
    "disc": ("disc", "ball", "dot"),
    "square": ("square", "box", "block"),
    "triangle": ("triangle", "wedge", "pyramid"),
    "star": ("star", "starlet"),
    "cross": ("cross", "plus"),
    "ring": ("ring", "hoop", "donut"),
}
_COLOUR_WORDS = {
    "red": ("red", "crimson", "scarlet"),
    "green": ("green", "emerald"),
    "blue": ("blue", "azure", "navy"),
    "yellow": ("yellow", "golden"),
    "pink": ("pink", "magenta", "rosy"),
    "white": ("white", "pale", "snowy"),
}
_MOTION_WORDS = {
    "slides": ("sliding left and right", "gliding sideways", "shuttling across"),
    "bounces": ("bouncing", "bouncing on the floor", "hopping"),
    "circles": ("circling", "going round and round", "orbiting the middle"),
    "pulses": ("pulsing", "growing and shrinking", "swelling and fading"),
    "falls": ("falling", "dropping down", "sinking to the bottom"),
    "rises": ("rising", "floating upwards", "climbing to the top"),
}
# These name all three facts; they are used for queries.
_WHOLE = (
    "a {colour} {shape} {motion}",
    "look at the {colour} {shape}, it is {motion}",
    "now there is a {shape}, a {colour} one, {motion}",
    "see it {motion}, the {colour} {shape}",
)
_PARTIAL = (
    "here the {shape} is {motion}",
    "something {colour} is {motion}",
    "you can see a {colour} {shape}",
    "this {shape} keeps {motion}",
    "what a fine {shape}",
    "such a lovely {colour}",
    "it is {motion} now",
)
_CUES = {
    BEFORE: ("we just saw {}", "a moment ago: {}", "that was {}"),
    AFTER: ("next comes {}", "soon you will see {}", "get ready for {}"),
}
_FILLERS = (
    "thank you for watching",
    "please subscribe to my channel",
    "let me know what you think",
    "I had coffee this morning",
    "well, anyway, where was I",
    "this is my favourite part",
    "the weather is nice today",
    "so let us go on",
)


def vocabulary() -> list[str]:
    """Return all words used in narrations, sorted; the tokenizer drops stop words."""
    texts = [*_WHOLE, *_PARTIAL, *_FILLERS]
    texts += [cue for cues in _CUES.values() for cue in cues]
    for words in (_SHAPE_WORDS, _COLOUR_WORDS, _MOTION_WORDS):
        texts += [phrase for phrases in words.values() for phrase in phrases]
    plain = (re.sub(r"\{\w*\}", " ", text.lower()) for text in texts)
    return sorted({word for text in plain for word in re.findall(r"[a-z]+", text)})


def word_vectors(dim: int) -> np.ndarray:
    """Return random unit vectors of `vocabulary`, the same in every world: float32 [words, dim].

    They do not encode synonyms: a model has to learn from the clips that a ball is a disc.
    """
    shape = (len(vocabulary()), dim)
    vectors = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


class Narrator:
    """A narrator for the clips in a world.

    Args:
      seed: the world's seed.
      persistence: see `scenes.draw`.
      about_shares: probabilities of ABOUT.
      clip_seconds: clip duration.
    """

    def __init__(
        self,
        seed: int,
        persistence: float,
        about_shares: tuple[float, float, float, float],
        clip_seconds: float,
    ):
        self.seed = seed
        self.persistence = persistence
        self.about_shares = about_shares
        self.clip_seconds = clip_seconds

    def times(self, index: np.ndarray) -> np.ndarray:
        """Return the narrations' start times in their clips, seconds [N, CLIP_NARRATIONS]."""
        slots = np.arange(CLIP_NARRATIONS)
        half = self.clip_seconds / CLIP_NARRATIONS
        room = max(half - NARRATION_SECONDS, 0.0)
        drawn = counter_random.uniform(self.seed, "says/when", index[:, None], slots)
        return slots * half + room * drawn

    def about(self, index: np.ndarray) -> np.ndarray:
        """Return the narrations' topics: int64 [N, CLIP_NARRATIONS], indices into ABOUT.

        If there is no clip before or after in the episode, the narration is about nothing.
        """
        slots = np.arange(CLIP_NARRATIONS)
        about = counter_random.choices(
            self.seed, "says/about", index[:, None], slots, shares=self.about_shares
        )
        moment = (index % EPISODE_CLIPS)[:, None]
        missing = ((about == BEFORE) & (moment == 0)) | (
            (about == AFTER) & (moment == EPISODE_CLIPS - 1)
        )
        return np.where(missing, NOTHING, about)

    def say(self, index: np.ndarray) -> list[list[str]]:
        """Return the narrations of N clips, `CLIP_NARRATIONS` each."""
        index = np.asarray(index, np.int64)
        about = self.about(index)
        coarse = episode_coarse(self.seed, index // EPISODE_CLIPS, self.persistence)
        moments = index % EPISODE_CLIPS
        shift = np.select([about == BEFORE, about == AFTER], [-1, 1], 0)
        slots = np.arange(CLIP_NARRATIONS)
        drawn = counter_random.bits(self.seed, "says/words", index[:, None], slots)
        told = coarse[np.arange(len(index))[:, None], moments[:, None] + shift]
        return [
            [_sentence(int(about[i, j]), told[i, j], int(drawn[i, j])) for j in slots]
            for i in range(len(index))
        ]

    def candidates(
        self, index: np.ndarray, count: int
    ) -> tuple[list[list[str]], np.ndarray, np.ndarray]:
        """Return the `count` narrations nearest to each clip's middle, nearest first.

        Follows the same rule as `sampling.nearest_candidates`, with the episode as the video.

        Returns:
          Texts [N][count], "" if the episode has no more; booleans [N, count], True for existing
          narrations; and booleans [N, count], True for narrations about the clip itself.
        """
        index = np.asarray(index, np.int64)
        # Enough clips on both sides that no clip outside can be nearer.
        reach = -(-count // CLIP_NARRATIONS)
        around = index[:, None] + np.arange(-reach, reach + 1)
        inside = around // EPISODE_CLIPS == (index // EPISODE_CLIPS)[:, None]
        flat = np.where(inside, around, index[:, None]).ravel()
        starts = self.times(flat).reshape(len(index), -1, CLIP_NARRATIONS)
        starts = starts + (around - index[:, None])[..., None] * self.clip_seconds
        middle = starts + NARRATION_SECONDS / 2
        distance = np.where(inside[..., None], np.abs(middle - self.clip_seconds / 2), np.inf)
        distance = distance.reshape(len(index), -1)
        order = np.argsort(distance, axis=1, kind="stable")[:, :count]
        found = np.take_along_axis(np.isfinite(distance), order, axis=1)
        unique, place = np.unique(flat, return_inverse=True)
        said = self.say(unique)
        place = place.reshape(len(index), -1)
        texts = [
            [
                said[place[i, k // CLIP_NARRATIONS]][k % CLIP_NARRATIONS] if there else ""
                for k, there in zip(order[i], found[i], strict=True)
            ]
            for i in range(len(index))
        ]
        offset = np.repeat(np.arange(-reach, reach + 1), CLIP_NARRATIONS)[order]
        about = self.about(flat).reshape(len(index), -1)
        about = np.take_along_axis(about, order, axis=1)
        shift = np.select([about == BEFORE, about == AFTER], [-1, 1], 0)
        right = found & (about != NOTHING) & (offset + shift == 0)
        return texts, found, right


def queries(seed: int, index: np.ndarray, coarse: np.ndarray) -> list[str]:
    """Return sentences that name all three coarse facts of N clips, for retrieval.

    Args:
      seed, index: coordinates for the random choice of words.
      coarse: int [N, 3].
    """
    drawn = counter_random.bits(seed, "query", np.asarray(index, np.int64))
    return [
        _fill(_WHOLE[int(bits) % len(_WHOLE)], facts, int(bits) // len(_WHOLE))
        for bits, facts in zip(drawn, coarse, strict=True)
    ]


def _sentence(about: int, facts: np.ndarray, bits: int) -> str:
    """Return a narration, whose words are chosen by the mixed-radix digits of `bits`."""
    if about == NOTHING:
        return _FILLERS[bits % len(_FILLERS)]
    bits, whole = divmod(bits, 2)
    templates = _WHOLE if whole else _PARTIAL
    bits, number = divmod(bits, len(templates))
    bits, cue = divmod(bits, 2)
    text = _fill(templates[number], facts, bits)
    if about == THIS or not cue:
        return text
    cues = _CUES[about]
    return cues[(bits >> 20) % len(cues)].format(text)


def _fill(template: str, facts: np.ndarray, bits: int) -> str:
    words = {}
    for name, table, names, value in (
        ("shape", _SHAPE_WORDS, SHAPES, facts[0]),
        ("colour", _COLOUR_WORDS, COLOURS, facts[1]),
        ("motion", _MOTION_WORDS, MOTIONS, facts[2]),
    ):
        choices = table[names[int(value)]]
        bits, choice = divmod(bits, len(choices))
        words[name] = choices[choice]
    return template.format(**words)
