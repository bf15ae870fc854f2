"""Writes runtime/: models of one node of the ai.onnx.ml domain, by hand.

    pip install onnx==1.23.2 onnxruntime==1.31.1 numpy==2.4.6
    python runtime_models.py

No framework writes all of these, and the standard says little of some; what ONNX
Runtime answers is what counts.
"""

import pathlib

import numpy as np
from onnx import TensorProto, helper

import fixtures

OUT = pathlib.Path(__file__).parent / "runtime"
FLOAT, DOUBLE, INT64, STRING = TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.INT64, TensorProto.STRING
KIND = {"float32": FLOAT, "float64": DOUBLE, "int64": INT64, "object": STRING}
RNG = np.random.default_rng(3)
ROWS = RNG.normal(size=(9, 3)).astype(np.float32)
GAPS = ROWS.copy()
GAPS[[1, 3, 5], [0, 1, 2]] = np.nan


def write(name, op, inputs, outputs, opset=3, **attributes):
    """inputs: arrays; outputs: types."""
    names = [f"x{i}" for i in range(len(inputs))]
    outs = [f"y{i}" for i in range(len(outputs))]
    node = helper.make_node(op, names, outs, domain="ai.onnx.ml", **attributes)
    graph = helper.make_graph(
        [node], name,
        [helper.make_tensor_value_info(n, KIND[str(a.dtype)], [None] + list(a.shape[1:])) for n, a in zip(names, inputs)],
        [helper.make_tensor_value_info(n, k, None) for n, k in zip(outs, outputs)],
    )
    model = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", opset)])
    try:
        fixtures.write(OUT / name, model, dict(zip(names, inputs)), {}, check=False)  # outputs have no shape
    except Exception as e:  # a shape that the runtime does not take is no fixture
        print("left out:", name, str(e)[:150])


def trees(prefix, ids, weights, mode="BRANCH_LEQ", missing=None, leaves=(1, 3, 4)):
    """Two trees of a split and a split, with one weight in each leaf."""
    attributes = dict(
        nodes_treeids=[0] * 5 + [1] * 5, nodes_nodeids=list(range(5)) * 2, nodes_featureids=[0, 0, 1, 0, 0, 2, 0, 0, 0, 0],
        nodes_modes=[mode, "LEAF", mode, "LEAF", "LEAF"] * 2, nodes_values=[0.1, 0, -0.2, 0, 0, 0.3, 0, 0.05, 0, 0],
        nodes_truenodeids=[1, 0, 3, 0, 0] * 2, nodes_falsenodeids=[2, 0, 4, 0, 0] * 2,
    )
    if missing:
        attributes["nodes_missing_value_tracks_true"] = missing
    attributes |= {f"{prefix}_treeids": [0] * 3 + [1] * 3, f"{prefix}_nodeids": list(leaves) * 2, f"{prefix}_ids": ids, f"{prefix}_weights": weights}
    return attributes


MIXED, POSITIVE = [0.4, -0.7, 1.1, -0.2, 0.3, -0.9], [0.1, 0.35, 0.2, 0.4, 0.05, 0.3]


def tree_models():
    # One score for two classes. (With another class id than 0, or with scores for both that some leaf lacks, the runtime
    # answers what is neither in the standard nor of use: no converter writes that.)
    for sign, weights in {"mixed": MIXED, "positive": POSITIVE}.items():
        for after in ("NONE", "LOGISTIC"):
            for base_name, base in {"": None, "-base": [0.15]}.items():
                extra = {"base_values": base} if base else {}
                write(f"tree-{sign}-{after.lower()}{base_name}", "TreeEnsembleClassifier", [ROWS], [INT64, FLOAT],
                      classlabels_int64s=[10, 20], post_transform=after, **trees("class", [0] * 6, weights), **extra)
    for after in ("NONE", "LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO"):
        write(f"tree-three-{after.lower()}", "TreeEnsembleClassifier", [ROWS], [STRING, FLOAT], classlabels_strings=["a", "b", "c"],
              post_transform=after, base_values=[0.1, -0.1, 0.05], **trees("class", [0, 1, 2, 2, 1, 0], MIXED))
    for aggregate in ("SUM", "AVERAGE", "MIN", "MAX"):
        for base_name, base in {"": None, "-base": [0.5]}.items():
            extra = {"base_values": base} if base else {}
            write(f"regressor-{aggregate.lower()}{base_name}", "TreeEnsembleRegressor", [ROWS], [FLOAT], n_targets=1,
                  aggregate_function=aggregate, **trees("target", [0] * 6, MIXED), **extra)
    write("regressor-targets", "TreeEnsembleRegressor", [ROWS], [FLOAT], n_targets=2, **trees("target", [0, 1, 0, 1, 0, 1], MIXED))
    for mode in ("LEQ", "LT", "GTE", "GT", "EQ", "NEQ"):
        rows = GAPS.copy()
        rows[0], rows[2] = 0.1, -0.2
        for tracks in (0, 1):
            write(f"mode-{mode.lower()}-{tracks}", "TreeEnsembleRegressor", [rows], [FLOAT], n_targets=1, **trees("target", [0] * 6, MIXED, "BRANCH_" + mode, [tracks] * 10))
    write("regressor-double", "TreeEnsembleRegressor", [ROWS.astype(np.float64)], [FLOAT], n_targets=1, **trees("target", [0] * 6, MIXED))


def linear_models():
    for after in ("NONE", "LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO"):
        if after in ("NONE", "LOGISTIC"):
            write(f"linear-one-{after.lower()}", "LinearClassifier", [ROWS], [INT64, FLOAT], coefficients=[0.3, -0.4, 0.8], intercepts=[0.1],
                  classlabels_ints=[10, 20], post_transform=after)
        write(f"linear-two-{after.lower()}", "LinearClassifier", [ROWS], [STRING, FLOAT], coefficients=[-0.3, 0.4, -0.8, 0.3, -0.4, 0.8], intercepts=[-0.1, 0.1],
              classlabels_strings=["no", "yes"], post_transform=after)
    write("linear-int64", "LinearClassifier", [np.round(ROWS * 3).astype(np.int64)], [INT64, FLOAT], coefficients=[-0.3, 0.4, -0.8, 0.3, -0.4, 0.8],
          intercepts=[-0.1, 0.1], classlabels_ints=[0, 1], post_transform="LOGISTIC")
    write("linear-regressor", "LinearRegressor", [ROWS], [FLOAT], coefficients=[0.3, -0.4, 0.8, 1, 2, 3], intercepts=[0.1, -1], targets=2)


def vector_machines():
    vectors = RNG.normal(size=(5, 3)).astype(np.float32).ravel().tolist()
    for kind in ("LINEAR", "POLY", "RBF", "SIGMOID"):
        for after in ("NONE", "LOGISTIC"):
            common = dict(kernel_type=kind, kernel_params=[0.5, 0.1, 2.0], support_vectors=vectors, post_transform=after)
            two = dict(classlabels_ints=[10, 20], vectors_per_class=[2, 3], coefficients=[0.5, 0.7, -0.4, -0.5, -0.3], rho=[0.1])
            write(f"svm-two-{kind.lower()}-{after.lower()}", "SVMClassifier", [ROWS], [INT64, FLOAT], **common, **two)
            write(f"svm-proba-{kind.lower()}-{after.lower()}", "SVMClassifier", [ROWS], [INT64, FLOAT], prob_a=[-1.5], prob_b=[0.2], **common, **two)
        three = dict(classlabels_strings=["a", "b", "c"], vectors_per_class=[2, 1, 2], coefficients=[0.5, 0.7, -0.4, -0.5, -0.3, 0.2, -0.1, 0.6, 0.4, -0.8], rho=[0.1, -0.2, 0.05])
        write(f"svm-three-{kind.lower()}", "SVMClassifier", [ROWS], [STRING, FLOAT], kernel_type=kind, kernel_params=[0.5, 0.1, 2.0], support_vectors=vectors, **three)
        write(f"svm-three-proba-{kind.lower()}", "SVMClassifier", [ROWS], [STRING, FLOAT], kernel_type=kind, kernel_params=[0.5, 0.1, 2.0], support_vectors=vectors,
              prob_a=[-1.5, -1.0, -2.0], prob_b=[0.2, 0.0, 0.1], **three)
        write(f"svm-regressor-{kind.lower()}", "SVMRegressor", [ROWS], [FLOAT], kernel_type=kind, kernel_params=[0.5, 0.1, 2.0], support_vectors=vectors,
              coefficients=[0.5, 0.7, -0.4, -0.5, -0.3], rho=[0.2], n_supports=5)
    write("svm-regressor-one-class", "SVMRegressor", [ROWS], [FLOAT], kernel_type="RBF", kernel_params=[0.5, 0.1, 2.0], support_vectors=vectors,
          coefficients=[0.5, 0.7, 0.4, 0.5, 0.3], rho=[-0.9], n_supports=5, one_class=1)


def feature_models():
    words = np.array([["a", "b"], ["c", "a"], ["x", ""]], dtype=object)
    counts = np.array([[1, 5], [2, 7], [3, -1]], dtype=np.int64)
    write("scaler", "Scaler", [ROWS], [FLOAT], offset=[0.1, 0.2, 0.3], scale=[2.0, 3.0, 4.0])
    write("scaler-one", "Scaler", [counts], [FLOAT], offset=[0.5], scale=[2.0])
    zero = ROWS.copy()
    zero[2] = 0
    write("normalizer-l1-zero", "Normalizer", [zero], [FLOAT], norm="L1")
    write("normalizer-l2-zero", "Normalizer", [zero], [FLOAT], norm="L2")
    write("normalizer-max-zero", "Normalizer", [np.abs(zero)], [FLOAT], norm="MAX")
    write("imputer-nan", "Imputer", [GAPS], [FLOAT], imputed_value_floats=[7.0, 8.0, 9.0], replaced_value_float=float("nan"))
    write("imputer-one", "Imputer", [GAPS], [FLOAT], imputed_value_floats=[7.0], replaced_value_float=float("nan"))
    write("imputer-int64", "Imputer", [counts], [INT64], imputed_value_int64s=[70, 80], replaced_value_int64=-1)
    write("binarizer", "Binarizer", [ROWS], [FLOAT], threshold=0.25)
    write("one-hot-strings", "OneHotEncoder", [words], [FLOAT], cats_strings=["a", "b", "c"])
    write("one-hot-int64", "OneHotEncoder", [counts], [FLOAT], cats_int64s=[1, 5, 7])
    write("one-hot-float", "OneHotEncoder", [counts.astype(np.float32)], [FLOAT], cats_int64s=[1, 5, 7])
    write("labels-to-int64", "LabelEncoder", [words], [INT64], keys_strings=["a", "b"], values_int64s=[5, 6], default_int64=-7)
    write("labels-to-strings", "LabelEncoder", [counts], [STRING], keys_int64s=[1, 5, 7], values_strings=["one", "five", "seven"])
    write("labels-to-floats", "LabelEncoder", [words], [FLOAT], keys_strings=["a", "b"], values_floats=[0.5, 1.5], default_float=-2.5)
    write("labels-floats", "LabelEncoder", [GAPS], [INT64], keys_floats=[float("nan"), float(GAPS[0, 0])], values_int64s=[5, 6])
    write("labels-v1", "LabelEncoder", [words], [INT64], 1, classes_strings=["a", "b", "c"], default_int64=9)
    write("categories-to-int64", "CategoryMapper", [words], [INT64], cats_strings=["a", "b"], cats_int64s=[5, 6], default_int64=-7)
    write("categories-to-strings", "CategoryMapper", [counts], [STRING], cats_strings=["a", "b"], cats_int64s=[5, 7], default_string="other")
    write("vectorizer", "FeatureVectorizer", [ROWS, ROWS[:, :1]], [FLOAT], inputdimensions=[3, 1])
    node_input = np.array([2, 0], dtype=np.int64)
    write("extractor", "ArrayFeatureExtractor", [ROWS, node_input], [FLOAT])
    write("extractor-strings", "ArrayFeatureExtractor", [words, node_input[1:]], [STRING])


def main():
    OUT.mkdir(exist_ok=True)
    for old in OUT.iterdir():
        old.unlink()
    tree_models()
    linear_models()
    vector_machines()
    feature_models()
    print(len(list(OUT.glob("*.onnx"))), "models")


if __name__ == "__main__":
    main()
