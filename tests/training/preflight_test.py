# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Every mistake that can be known is told before a run starts, from manifests alone."""

import ml_collections
import pytest

from mmv_tf import training
from mmv_tf.data import default_config
from mmv_tf.evaluation.held_out import HeldOutRetrieval
from mmv_tf.training import experiment, preflight
from mmv_tf.training.trainer import Trainer
from mmv_tf.training.workers import make_strategy
from mmv_tf.util.configuration import load_config
from tests import small_world
from tests.training.manifests import write

PAPER = "howto100m_audioset"


@pytest.fixture
def folders(tmp_path):
    """Manifests as the documented commands leave them."""
    write(tmp_path / "howto100m", train=9, validation=3)
    audioset = {"balanced_train": (2, 2, 0), "unbalanced_train": (4, 4, 0), "eval": (2, 2, 0)}
    write(tmp_path / "audioset", **audioset)
    return tmp_path


def config(folders, argument="s3d", **changes):
    """The paper's configuration on other folders."""
    config = load_config(f"{PAPER}:{argument}").unlock()
    config.data.mixture = tuple(
        {**entry, "directory": entry["directory"].replace("data", str(folders))}
        for entry in config.data.mixture
    )
    with config.ignore_type():
        config.update_from_flattened_dict(changes)
    return config.lock()


def check(config):
    held_out = HeldOutRetrieval(config.data, config.training.evaluate_split, 8)
    preflight.check(config, tuple(held_out.parts.values()))


@pytest.mark.parametrize("argument", ["s3d", "tsm50x2", "s3d,16f,ht,vt", "s3d,va", "s3d,disjoint"])
def test_the_papers_configurations_are_good_on_what_the_commands_write(folders, argument):
    check(config(folders, argument))


def test_all_that_is_wrong_is_in_one_error(tmp_path):
    write(tmp_path / "howto100m", train=9)
    write(tmp_path / "audioset", balanced_train=2, eval=2)
    with pytest.raises(ValueError, match="There is no split") as error:
        check(config(tmp_path))
    message = str(error.value)
    assert (
        f"There is no split 'unbalanced_train' in {tmp_path / 'audioset'}: it has balanced_train, "
        "eval; prepare that split, or choose another with data.split" in message
    )
    assert f"There is no split 'validation' in {tmp_path / 'howto100m'}: it has train;" in message
    assert "training.evaluate_split, or training.evaluate_every_steps=0" in message
    assert message.endswith(".") and ".;" not in message


def test_directories_and_empty_splits(tmp_path):
    write(tmp_path / "howto100m", train=0, validation=1)
    with pytest.raises(ValueError, match="no such file") as error:
        check(config(tmp_path))
    message = str(error.value)
    assert f"{tmp_path / 'audioset' / 'manifest.json'}: no such file" in message
    assert "The split 'train' of" in message and "has 0 clips, but at least 1 are needed" in message
    assert "The split 'validation' of" in message and "has 1 clip, but at least 2" in message


def test_modalities_that_no_clip_has(tmp_path, folders):
    audio = {"training.weights.vt": 0.0}
    write(tmp_path / "silent" / "howto100m", train=(9, 0, 5), validation=3)
    with pytest.raises(ValueError, match=r"No training clip has sound \(train of .*\), which the"):
        check(config(tmp_path / "silent", "s3d,ht"))
    check(config(tmp_path / "silent", "s3d,ht,vt"))
    write(tmp_path / "mute" / "howto100m", train=(9, 9, 0), validation=3)
    with pytest.raises(ValueError, match="No training clip has captions"):
        check(config(tmp_path / "mute", "s3d,ht"))
    check(config(tmp_path / "mute", "s3d,ht", **audio))
    with pytest.raises(ValueError, match=r"weights\.vt is above 0, but the network has no text"):
        check(config(folders, "s3d,va", **{"training.weights.vt": 1.0}))


def test_records_of_others_are_not_evaluated(folders):
    entry = {"directory": str(folders), "records": "dmvr", "weight": 1.0}
    with pytest.raises(ValueError, match="dmvr records have no manifest, so no split of them"):
        check(config(folders, **{"data.mixture": (entry,)}))
    preflight.check(config(folders, **{"data.mixture": (entry,)}))
    gone = {**entry, "directory": str(folders / "gone")}
    with pytest.raises(ValueError, match="gone: no such directory; expected shards"):
        preflight.check(config(folders, **{"data.mixture": (gone,)}))


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        ({"name": "fac"}, r"model\.graph\.audio_text is not set"),
        ({"name": "fac", "audio_text": True}, None),
        ({"name": "shared"}, None),
        ({"name": "disjoint"}, "the disjoint graph can't compare audio with text"),
    ],
)
def test_audio_text_is_trained_by_graphs_that_can(folders, graph, message):
    changed = config(folders, **{"training.weights.at": 1.0}).unlock()
    changed.model.graph = ml_collections.ConfigDict(graph)
    if message is None:
        check(changed)
        return
    with pytest.raises(ValueError, match=message):
        check(changed)


def test_a_trainer_refuses_it_too(tiny_model, tmp_path):
    settings = training.default_config()
    settings.weights.at = 1.0
    strategy = make_strategy("one_device")
    with pytest.raises(ValueError, match=r"training\.weights\.at is above 0, but model\.graph"):
        Trainer(tiny_model, strategy, settings, training.default_optimizer_config(), tmp_path)


def test_a_run_is_checked_with_what_its_evaluation_reads(prepared, tmp_path):
    config = ml_collections.ConfigDict(
        {
            "seed": 0,
            "strategy": "one_device",
            "word_vectors": str(small_world.write_word_vectors(tmp_path)),
            "model": small_world.model_config(),
            "data": small_world.data_config(prepared),
            "training": training.default_config(),
        }
    )
    config.training.evaluate_every_steps = 1
    evaluate = HeldOutRetrieval(config.data, "dev", 2)
    with pytest.raises(ValueError, match=r"no split 'dev' in .*: it has train, test, validation;"):
        experiment.run(config, tmp_path / "run", evaluate)
    assert not (tmp_path / "run").exists()


def test_what_a_mixture_evaluates():
    data = default_config()
    entries = ({"directory": "a/films"}, {"directory": "b/films"}, {"directory": "sounds"})
    data.mixture = entries

    def parts():
        held_out = HeldOutRetrieval(data, "validation", 2)
        return {name: (own.directory, own.split) for name, own in held_out.parts.items()}

    assert parts() == {"": ("a/films", "validation")}
    data.mixture = (entries[0], {**entries[2], "evaluate_split": "eval"})
    assert parts() == {"": ("sounds", "eval")}
    data.mixture = tuple({**entry, "evaluate_split": "x"} for entry in entries)
    assert parts() == {"": ("a/films", "x"), "films": ("b/films", "x"), "sounds": ("sounds", "x")}
    data.mixture = ()
    data.directory = "one"
    assert parts() == {"": ("one", "validation")}
