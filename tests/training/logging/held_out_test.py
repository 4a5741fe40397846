# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from mmv_tf.training.logging import HeldOutClips, pictures


def clips(similarities, shown=(0, 2), log_mels=True):
    count = next(iter(similarities.values())).shape[0]
    rng = np.random.default_rng(0)
    return HeldOutClips(
        names=tuple(f"film:{index}" for index in range(count)),
        sentences=tuple(f"sentence {index}" for index in range(count)),
        shown=shown,
        frames=rng.integers(0, 256, [len(shown), 4, 32, 48, 3], np.uint8),
        log_mels=rng.normal(size=[len(shown), 10, 8]).astype(np.float32) if log_mels else None,
        similarities=similarities,
    )


COSINES = np.array([[0.1, 0.5, 0.2], [0.9, 0.4, 0.3], [0.3, 0.2, 0.25]], np.float32)


def test_the_nearest_sentences_are_those_of_the_column():
    text = clips({"text_to_video": COSINES}).texts()["nearest_sentences"]
    first, last = text.splitlines()[2:]
    # Column 0 is 0.1, 0.9, 0.3: the own sentence comes last.
    expected = "own sentence, rank 3 of 3: sentence 0", "0.90  sentence 1", "0.30  sentence 2"
    assert first == f"| film:0 | {' <br> '.join(expected)} <br> 0.10  sentence 0  (its own) |"
    assert "own sentence, rank 2 of 3: sentence 2 <br> 0.30  sentence 1" in last


def test_clips_without_a_sentence_or_video_have_no_rank():
    cosines = np.full([3, 3], np.nan, np.float32)
    cosines[np.ix_([0, 1], [0, 1])] = COSINES[:2, :2]
    found = clips({"text_to_video": cosines})
    lines = found.texts()["nearest_sentences"].splitlines()
    assert "rank 2 of 2" in lines[2] and "sentence 2" not in lines[2]
    assert lines[3] == "| film:2 |  |"
    # The matrix leaves that clip out: a block of 192 pixels for each of four values.
    image = found.images()["similarities/text_to_video"]
    assert image.shape[1:] == (384, 3)
    assert (image[:192, :192] == image[0, 0]).all()
    assert image[0, 0].sum() < image[383, 0].sum(), "0.9 is lighter than 0.1"


def test_without_text_there_are_pictures_only():
    found = clips({"video_to_audio": COSINES})
    assert found.texts() == {}
    assert set(found.images()) == {"similarities/video_to_audio", "clips/1", "clips/2"}


def test_sentences_can_not_break_the_table():
    found = clips({"text_to_video": COSINES})
    bad = HeldOutClips(
        found.names, ("a | b\n<script>",) * 3, found.shown, found.frames, None, found.similarities
    )
    rows = bad.texts()["nearest_sentences"].splitlines()
    assert len(rows) == 4
    assert "a \\| b &lt;script>" in rows[2]


def test_a_clip_is_its_frames_above_its_spectrogram():
    frames = np.zeros([12, 32, 32, 3], np.uint8)
    frames[:, :, :, 0] = np.linspace(0, 255, 12).astype(np.uint8)[:, np.newaxis, np.newaxis]
    log_mel = np.zeros([20, 8], np.float32)
    log_mel[:10, :4] = 1.0  # low frequencies, in the first half
    image = pictures.clip(frames, log_mel, ["one line"])
    assert image.dtype == np.uint8
    step = 66  # a frame and the gap
    reds = [int(image[32, 32 + step * number, 0]) for number in range(6)]
    assert reds == sorted(reds) and reds[0] == 0 and reds[-1] == 255
    width = 6 * step
    assert image.shape[1] == width
    spectrogram = image[66 : 66 + 64].astype(int).sum(axis=-1)
    light = spectrogram > spectrogram.min()
    assert light[-10, 10] and not light[-10, width - 10] and not light[10, 10]
    assert (image[66 + 66 :] < 128).any(), "the text is there"
    shorter = pictures.clip(frames, None, ["one line"])
    wrapped = pictures.clip(frames, None, ["one line " * 10])
    assert wrapped.shape[0] == shorter.shape[0] + 20
    assert shorter.shape == (image.shape[0] - 66, image.shape[1], 3)


@pytest.mark.parametrize("size", [2, 100, 384, 1000])
def test_a_matrix_is_about_as_large_as_a_card(size):
    values = np.random.default_rng(0).normal(size=[size, size])
    for matrix in (values, np.zeros([size, size])):
        height, *others = pictures.matrix(matrix, "title").shape
        assert others == [384, 3] and 400 <= height <= 430
