"""Writes keras/: small networks of Keras on PyTorch, exported by Model.export.

    pip install keras==3.15.0 torch==2.14.0 onnx==1.23.2 onnxscript==0.7.2 onnxruntime==1.31.1 numpy==2.4.6
    python keras_models.py

The weights are random but seeded: a network need not be good to be the same.
"""

import os
import pathlib
import tempfile
import warnings

os.environ["KERAS_BACKEND"] = "torch"

import keras
import numpy as np
import onnx
from keras import layers

import fixtures

OUT = pathlib.Path(__file__).parent / "keras"
warnings.filterwarnings("ignore")

MODELS = {
    "dense": ((6,), [layers.Dense(8, activation="relu"), layers.Dropout(0.3), layers.Dense(8, activation="swish"), layers.Dense(3, activation="softmax")]),
    "cnn": ((12, 12, 1), [
        layers.Conv2D(4, 3, padding="same", activation="relu"), layers.MaxPooling2D(), layers.BatchNormalization(),
        layers.Conv2D(4, 3, strides=2, activation="elu"), layers.GlobalAveragePooling2D(), layers.Dense(3, activation="softmax"),
    ]),
    "cnn-depthwise": ((10, 10, 2), [
        layers.DepthwiseConv2D(3, padding="same"), layers.BatchNormalization(), layers.AveragePooling2D(2), layers.Flatten(), layers.Dense(2, activation="sigmoid"),
    ]),
}


def main():
    OUT.mkdir(exist_ok=True)
    for old in OUT.iterdir():
        old.unlink()
    for i, (name, (shape, stack)) in enumerate(MODELS.items()):
        keras.utils.set_random_seed(i)
        model = keras.Sequential([keras.Input(shape), *stack])
        x = np.random.default_rng(i).normal(size=(3, *shape)).astype(np.float32)
        answer = np.asarray(model.predict(x, verbose=0))
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "model.onnx"
            model.export(str(path), format="onnx", verbose=False)
            proto = onnx.load(path)
        for node in proto.graph.node:  # where in the script a node came from
            del node.metadata_props[:]
            node.doc_string = ""
        del proto.graph.value_info[:], proto.graph.metadata_props[:]
        fixtures.write(OUT / name, proto, {proto.graph.input[0].name: x}, {proto.graph.output[0].name: answer}, keras=keras.__version__)


if __name__ == "__main__":
    main()
