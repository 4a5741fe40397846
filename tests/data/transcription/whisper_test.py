# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import inspect
import sys
import types

import numpy as np
import pytest
from absl import flags

from mmv_tf.data.captions import Caption
from mmv_tf.data.transcription import FasterWhisper
from mmv_tf.data.transcription.flags import _OptionalModel, _OptionalModelFlag
from tests import running


@pytest.fixture
def package(monkeypatch):
    """The package's interface, as of version 1.2."""
    module = types.ModuleType("faster_whisper")
    module.calls = []

    class WhisperModel:
        def __init__(self, model, device):
            if model == "large-v3":
                raise RuntimeError("no network")
            module.calls.append((model, device))
            self.supported_languages = ["en"] if model.endswith(".en") else ["de", "en", "fr"]

        def transcribe(self, samples, **options):
            module.calls.append(options)
            segment = types.SimpleNamespace(start=0.5, end=1.5, text=" Hello there.")
            return iter([segment]), types.SimpleNamespace(language="en")

    module.WhisperModel = WhisperModel
    module.available_models = lambda: ["tiny", "small", "large-v3"]
    monkeypatch.setitem(sys.modules, "faster_whisper", module)
    return module


def test_a_model_by_name(package):
    whisper = FasterWhisper("tiny", "cpu")
    language, captions = whisper.transcribe(np.zeros(16_000, np.float32), None)
    assert (language, list(captions)) == ("en", [Caption(0.5, 1.5, " Hello there.")])
    assert package.calls == [("tiny", "cpu"), {"language": None, "vad_filter": True}]
    assert whisper.key == "faster-whisper tiny"


def test_languages(package):
    FasterWhisper("tiny").check_language("fr")
    with pytest.raises(ValueError, match=r"language 'xx'; expected a code such as de, en, fr\."):
        FasterWhisper("tiny").check_language("xx")


def test_a_model_by_path_is_known_by_its_content(package, tmp_path):
    (tmp_path / "model.bin").write_bytes(b"weights")
    key = FasterWhisper(str(tmp_path)).key
    assert FasterWhisper(str(tmp_path)).key == key
    (tmp_path / "model.bin").write_bytes(b"others")
    assert FasterWhisper(str(tmp_path)).key != key


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            "enormous",
            "neither a folder nor a Whisper model; expected .* one of tiny, small",
        ),
        (
            "large-v3",
            r"can't be loaded \(no network\); the first use of a name needs network access",
        ),
    ],
)
def test_wrong_models(package, model, message):
    with pytest.raises(ValueError, match=message):
        FasterWhisper(model)


def test_a_folder_without_weights(package, tmp_path):
    with pytest.raises(ValueError, match=r"contains no model\.bin"):
        FasterWhisper(str(tmp_path))


def test_without_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "faster_whisper", None)
    with pytest.raises(ValueError, match=r'pip install "mmv_tf\[speech\]"'):
        FasterWhisper()


def test_the_flag_stands_alone_or_has_a_value():
    def parsed(*arguments):
        values = flags.FlagValues()
        flag = _OptionalModelFlag(_OptionalModel(), None, "transcribe", None, "help")
        flags.DEFINE_flag(flag, flag_values=values)
        flags.DEFINE_string("other", None, "help", flag_values=values)
        values(["program", *arguments])
        return values.transcribe, values.other

    assert parsed() == (None, None)
    assert parsed("--transcribe") == ("small", None)
    assert parsed("--transcribe", "--other=x") == ("small", "x")
    assert parsed("--transcribe=/models/tiny") == ("/models/tiny", None)
    assert parsed("--notranscribe") == (None, None)


@pytest.mark.parametrize("program", [("search", "index"), ("prepare_data",)])
def test_the_programs_say_what_is_missing(program, tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"")
    target = "--index=x" if program[0] == "search" else "--output=x"
    more = ["--model=y"] if program[0] == "search" else []
    done = running.run_forked(*program, f"--videos={tmp_path}", target, *more, "--language=en")
    assert (done.returncode, done.stderr.strip()) == (2, "error: --language needs --transcribe.")


def test_the_package_has_what_we_call():
    package = pytest.importorskip("faster_whisper", reason="the extra 'speech' is not installed")
    assert {"model_size_or_path", "device"} <= set(
        inspect.signature(package.WhisperModel.__init__).parameters
    )
    taken = inspect.signature(package.WhisperModel.transcribe).parameters
    assert {"audio", "language", "vad_filter", "no_speech_threshold"} <= set(taken)
    assert isinstance(package.WhisperModel.supported_languages, property)
    assert "small" in package.available_models()
