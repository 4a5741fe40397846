# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import json

import numpy as np
import pytest

from mmv_tf.evaluation.held_out import HeldOutRetrieval
from tests import small_world


@pytest.mark.slow
def test_every_direction_is_ranked_and_it_gives_up_when_asked(prepared, tiny_model):
    manifest = json.loads((prepared / "manifest.json").read_text())
    clips = min(3, manifest["splits"]["train"]["num_examples"])
    held_out = HeldOutRetrieval(small_world.data_config(prepared), "train", clips, batch_size=2)
    found = held_out(tiny_model)
    for direction in ("text_to_video", "video_to_audio", "text_to_audio"):
        assert found[f"{direction}/count"] <= clips
        assert 0 <= found[f"{direction}/R@1"] <= found[f"{direction}/R@5"] == 1
        assert 1 <= found[f"{direction}/median_rank"] <= clips
        assert 1 <= found[f"{direction}/mean_rank"] <= clips
    assert all(np.isfinite(value) for value in found.values())
    assert held_out(tiny_model, lambda: True) is None


@pytest.mark.slow
def test_each_data_set_of_a_mixture_is_ranked_by_itself(prepared, tiny_model):
    config = small_world.data_config(prepared)
    config.mixture = tuple(
        {"directory": str(prepared), "evaluate_split": split} for split in ("train", "test")
    )
    found = HeldOutRetrieval(config, "absent", 3, batch_size=2)(tiny_model)
    plain = {name: value for name, value in found.items() if not name.startswith(prepared.name)}
    config.mixture = ()
    assert plain == HeldOutRetrieval(config, "train", 3, batch_size=2)(tiny_model)
    test = HeldOutRetrieval(config, "test", 3, batch_size=2)(tiny_model)
    assert found == plain | {f"{prepared.name}/{name}": value for name, value in test.items()}
