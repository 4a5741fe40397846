# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from mmv_tf.layers import LogMel
from projects.label_efficiency import tasks
from projects.label_efficiency.config import get_config
from tests import media_samples


class Listener:
    """A network's log-mel, which is all that reading audio takes."""

    log_mel = LogMel(sample_rate=16_000, window=1024, step=512, mel_bins=8)


def changed(**entries):
    config = get_config("runlocal").copy_and_resolve_references().unlock()
    for name, value in entries.items():
        section, _, entry = name.partition("__")
        config[section][entry] = value
    return config


def write_esc10(directory, folds=(1, 2)):
    for number, name in enumerate(("Dog bark", "Rain"), 1):
        folder = directory / f"00{number} - {name}"
        folder.mkdir(parents=True)
        for fold in folds:
            for take in "AB":
                samples = np.sin(np.arange(8000) * number / 9).astype(np.float32)
                media_samples.write_wav(folder / f"{fold}-{number}0-{take}.wav", samples)
    return directory


def test_the_worlds_clips_have_labels_groups_and_videos():
    task = tasks.world_task(get_config("runlocal"))
    division = task.divisions[tasks.ALL]
    assert (len(division.train), len(division.test)) == (48, 216)
    assert task.classes == ("slides", "bounces", "circles", "pulses", "falls", "rises")
    assert np.bincount([item.labels[0] for item in division.test]).tolist() == [36] * 6
    # An episode of eight clips is a group; each clip of a gallery is its own.
    assert len({item.group for item in division.train}) == 6
    assert len({item.group for item in division.test}) == 216
    assert {item.item_id for item in division.train}.isdisjoint(i.item_id for i in division.test)
    first, last = division.train[0], division.test[-1]
    shown = list(task.source.test([first, last, first]))
    assert shown[0].shape == (1, 8, 32, 32, 3)
    assert 0.0 <= shown[0].min() < shown[0].max() <= 1.0
    np.testing.assert_array_equal(shown[0], shown[2])
    assert (shown[0] != shown[1]).any()
    np.testing.assert_array_equal(next(task.source.train([last], 7)), shown[1][0])


def test_an_unknown_factor_is_refused():
    with pytest.raises(ValueError, match="'taste'; expected one of shape, colour"):
        tasks.world_task(changed(world__factor="taste"))


def test_esc10_has_the_folds_of_the_seeds(tmp_path):
    task = tasks.esc10_task(get_config("runlocal"), write_esc10(tmp_path), Listener())
    assert task.divisions_of == (("1",),)
    division = task.divisions["1"]
    assert [item.item_id[0] for item in division.train] == ["2"] * 4
    assert [item.item_id[0] for item in division.test] == ["1"] * 4
    assert task.classes == ("Dog bark", "Rain")
    (windows,) = task.source.test(division.test[:1])
    assert windows.shape == (10, 64, 8, 1)


def test_folds_that_do_not_fit_the_seeds_are_refused(tmp_path):
    config = changed(esc10__folds=(("1",), ("2",)))
    with pytest.raises(ValueError, match="folds for 2 seeds, but there are 1 seeds"):
        tasks.esc10_task(config, tmp_path, Listener())


def test_a_folder_without_audio_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no audio found"):
        tasks.esc10_task(get_config("runlocal"), tmp_path, Listener())
