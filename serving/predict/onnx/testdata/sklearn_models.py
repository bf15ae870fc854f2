"""Writes sklearn/: pipelines of scikit-learn, converted by skl2onnx.

    pip install scikit-learn==1.9.1 skl2onnx==1.20.0 onnx==1.23.2 onnxruntime==1.31.1 numpy==2.4.6 pandas==3.1.1
    python sklearn_models.py

Everything is seeded. The Go tests never need Python: what this script writes is
committed.
"""

import pathlib
import warnings

import numpy as np
import pandas as pd
import sklearn
import skl2onnx
from skl2onnx import to_onnx
from skl2onnx.common._container import ModelComponentContainer
from skl2onnx.common.data_types import FloatTensorType, Int64TensorType, StringTensorType
from sklearn.calibration import CalibratedClassifierCV
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis, QuadraticDiscriminantAnalysis
from sklearn.ensemble import (
    AdaBoostClassifier, BaggingClassifier, ExtraTreesRegressor, GradientBoostingClassifier, GradientBoostingRegressor,
    HistGradientBoostingClassifier, HistGradientBoostingRegressor, IsolationForest, RandomForestClassifier,
    RandomForestRegressor, StackingClassifier, VotingClassifier,
)
from sklearn.feature_selection import SelectKBest
from sklearn.impute import SimpleImputer
from sklearn.linear_model import (
    ElasticNet, Lasso, LinearRegression, LogisticRegression, PoissonRegressor, Ridge, RidgeClassifier, SGDClassifier,
)
from sklearn.mixture import GaussianMixture
from sklearn.multiclass import OneVsRestClassifier
from sklearn.naive_bayes import BernoulliNB, GaussianNB, MultinomialNB
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    Binarizer, KBinsDiscretizer, MaxAbsScaler, MinMaxScaler, Normalizer, OneHotEncoder, OrdinalEncoder,
    PolynomialFeatures, PowerTransformer, RobustScaler, StandardScaler,
)
from sklearn.svm import SVC, SVR, LinearSVC, NuSVC, OneClassSVM
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

import fixtures

OUT = pathlib.Path(__file__).parent / "sklearn"
ROWS, SHOWN = 200, 12
warnings.filterwarnings("ignore")


def numbers(seed=7, features=5):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(ROWS, features)).astype(np.float32)
    signal = x[:, 0] + 0.5 * x[:, 1] * x[:, 2] + 0.3 * rng.normal(size=ROWS)
    three = np.digitize(signal, [-0.6, 0.6])
    return x, signal, (signal > 0).astype(int), three


X, SIGNAL, TWO, THREE = numbers()
NAMES = np.array(["low", "middle", "high"])[THREE]
GAPS = X.copy()
GAPS[np.random.default_rng(8).random(X.shape) < 0.15] = np.nan
POSITIVE = np.abs(X)
COUNTS = np.floor(POSITIVE * 3).astype(np.float32)


def shown(x):
    """Rows that were trained on, and some that are far away."""
    far = np.zeros((2, x.shape[1]), x.dtype)
    far[1] = 30
    return np.vstack([x[:SHOWN], far])


def plain_numbers(add_node):
    """The onnx package no longer takes numpy's integers, which the converter of histogram gradient boosting hands it."""
    def add(self, op_type, inputs, outputs, **attributes):
        for key, value in attributes.items():
            if isinstance(value, list):
                attributes[key] = [int(v) if isinstance(v, (np.integer, np.bool_, bool)) else v for v in value]
        return add_node(self, op_type, inputs, outputs, **attributes)
    return add


ModelComponentContainer.add_node = plain_numbers(ModelComponentContainer.add_node)


def classifier(name, model, y, x=X, rows=None, **options):
    model.fit(x, y)
    rows = shown(x) if rows is None else rows
    proto = to_onnx(model, x[:1], options={id(model): options or {"zipmap": False}})
    labels, second = [o.name for o in proto.graph.output]
    answers = {labels: model.predict(rows)}
    if options.get("raw_scores"):
        margin = model.decision_function(rows)
        answers[second] = margin if margin.ndim == 2 else np.column_stack([-margin, margin])
    elif hasattr(model, "predict_proba"):
        answers[second] = model.predict_proba(rows)
    elif getattr(model, "decision_function_shape", "") == "ovo":
        answers[second] = model.decision_function(rows)
    save(name, proto, {proto.graph.input[0].name: rows}, answers)


def regressor(name, model, y=SIGNAL, x=X):
    model.fit(x, y)
    rows = shown(x)
    proto = to_onnx(model, x[:1])
    out = proto.graph.output[0].name
    save(name, proto, {proto.graph.input[0].name: rows}, {out: model.predict(rows)})


def transformer(name, model, x=X, y=None, rows=None):
    model.fit(x, y)
    rows = shown(x) if rows is None else rows
    proto = to_onnx(model, x[:1])
    answer = model.transform(rows)
    save(name, proto, {proto.graph.input[0].name: rows}, {proto.graph.output[0].name: getattr(answer, "toarray", lambda: answer)()})


def save(name, proto, inputs, answers):
    fixtures.write(OUT / name, proto, inputs, answers, sklearn=sklearn.__version__, skl2onnx=skl2onnx.__version__)


def linear_models():
    classifier("logistic", LogisticRegression(), TWO)
    classifier("logistic-multinomial", make_pipeline(StandardScaler(), LogisticRegression()), THREE)
    classifier("logistic-labels", LogisticRegression(), NAMES)
    classifier("logistic-zipmap", LogisticRegression(), NAMES, zipmap=True)
    classifier("logistic-zipmap-numbers", LogisticRegression(), THREE, zipmap=True)
    classifier("logistic-raw", LogisticRegression(), TWO, zipmap=False, raw_scores=True)
    classifier("logistic-double", LogisticRegression(), TWO, X.astype(np.float64))
    classifier("one-vs-rest", OneVsRestClassifier(LogisticRegression()), THREE)
    classifier("ridge-classifier", RidgeClassifier(), THREE, zipmap=False, raw_scores=True)
    classifier("sgd", SGDClassifier(loss="log_loss", random_state=1), TWO)
    classifier("linear-svc", LinearSVC(), THREE, raw_scores=True)
    classifier("lda", LinearDiscriminantAnalysis(), THREE)
    classifier("qda", QuadraticDiscriminantAnalysis(), THREE)
    regressor("linear", LinearRegression())
    regressor("linear-two-targets", LinearRegression(), np.column_stack([SIGNAL, SIGNAL**2]))
    regressor("ridge", make_pipeline(RobustScaler(), Ridge()))
    regressor("lasso", make_pipeline(PolynomialFeatures(2), Lasso(0.01)))
    regressor("elastic-net", make_pipeline(MinMaxScaler(), ElasticNet(0.01)))
    regressor("poisson", PoissonRegressor(), np.floor(np.abs(SIGNAL) * 3))


def tree_models():
    classifier("tree", DecisionTreeClassifier(max_depth=5, random_state=1), THREE)
    classifier("tree-missing", DecisionTreeClassifier(max_depth=5, random_state=1), TWO, GAPS)
    classifier("forest", RandomForestClassifier(12, max_depth=5, random_state=1), TWO)
    classifier("forest-multiclass", RandomForestClassifier(10, max_depth=4, random_state=1), NAMES)
    classifier("forest-zipmap", RandomForestClassifier(5, max_depth=3, random_state=1), NAMES, zipmap=True)
    classifier("gradient-boosting", GradientBoostingClassifier(n_estimators=10, random_state=1), TWO)
    classifier("gradient-boosting-multiclass", GradientBoostingClassifier(n_estimators=8, max_depth=2, random_state=1), THREE)
    classifier("hist-gradient-boosting", HistGradientBoostingClassifier(max_iter=10, max_depth=4, random_state=1), TWO, GAPS)
    classifier("hist-gradient-boosting-multiclass", HistGradientBoostingClassifier(max_iter=6, max_depth=3, random_state=1), THREE, GAPS)
    classifier("ada-boost", AdaBoostClassifier(DecisionTreeClassifier(max_depth=2), n_estimators=5, random_state=1), THREE)
    classifier("bagging", BaggingClassifier(DecisionTreeClassifier(max_depth=3), 5, random_state=1), THREE)
    classifier("voting", VotingClassifier([("a", LogisticRegression()), ("b", DecisionTreeClassifier(max_depth=3, random_state=1))], voting="soft", flatten_transform=False), THREE)
    classifier("stacking", StackingClassifier([("a", LogisticRegression()), ("b", DecisionTreeClassifier(max_depth=3, random_state=1))], cv=3), TWO)
    classifier("calibrated", CalibratedClassifierCV(DecisionTreeClassifier(max_depth=3, random_state=1), cv=2), TWO)
    regressor("tree-regressor", DecisionTreeRegressor(max_depth=5, random_state=1))
    regressor("forest-regressor", RandomForestRegressor(10, max_depth=5, random_state=1))
    regressor("forest-two-targets", RandomForestRegressor(6, max_depth=4, random_state=1), np.column_stack([SIGNAL, SIGNAL**2]))
    regressor("extra-trees", ExtraTreesRegressor(8, max_depth=5, random_state=1))
    regressor("gradient-boosting-regressor", GradientBoostingRegressor(n_estimators=12, random_state=1))
    regressor("hist-gradient-boosting-regressor", HistGradientBoostingRegressor(max_iter=10, max_depth=4, random_state=1), x=GAPS)


def other_models():
    classifier("mlp", make_pipeline(StandardScaler(), MLPClassifier((16, 8), max_iter=300, random_state=1)), THREE)
    classifier("mlp-binary", MLPClassifier((8,), activation="tanh", max_iter=300, random_state=1), TWO)
    regressor("mlp-regressor", make_pipeline(StandardScaler(), MLPRegressor(hidden_layer_sizes=(16,), activation="logistic", max_iter=300, random_state=1)))
    classifier("gaussian-nb", GaussianNB(), THREE)
    classifier("bernoulli-nb", make_pipeline(Binarizer(), BernoulliNB()), TWO)
    classifier("multinomial-nb", MultinomialNB(), THREE, COUNTS)
    classifier("svc", SVC(decision_function_shape="ovo"), THREE)
    classifier("svc-binary", SVC(), TWO, zipmap=False, raw_scores=True)
    classifier("svc-linear", SVC(kernel="linear", decision_function_shape="ovo"), THREE)
    classifier("svc-probability", CalibratedClassifierCV(SVC(kernel="poly", degree=2, coef0=1), cv=2), THREE)
    classifier("nu-svc", NuSVC(kernel="sigmoid", gamma=0.05, decision_function_shape="ovo"), NAMES)
    regressor("svr", make_pipeline(StandardScaler(), SVR()))
    regressor("svr-linear", SVR(kernel="linear"))
    pca = make_pipeline(StandardScaler(), PCA(3), LogisticRegression())
    classifier("pca-logistic", pca, NAMES)
    classifier("select-k-best", make_pipeline(SelectKBest(k=3), LogisticRegression()), TWO)
    classifier("bins", make_pipeline(KBinsDiscretizer(4, encode="onehot-dense", quantile_method="averaged_inverted_cdf"), LogisticRegression()), TWO)
    transformer("max-abs", MaxAbsScaler())
    transformer("normalizer-l1", Normalizer("l1"))
    transformer("normalizer-max", Normalizer("max"))
    transformer("power", PowerTransformer())
    transformer("svd", TruncatedSVD(3, random_state=1))
    transformer("polynomial", PolynomialFeatures(3, include_bias=False))
    transformer("imputer", SimpleImputer(strategy="median"), GAPS, rows=GAPS[:SHOWN])


def cluster_models():
    kmeans = KMeans(4, n_init=2, random_state=1).fit(X)
    proto = to_onnx(kmeans, X[:1])
    rows = shown(X)
    save("k-means", proto, {"X": rows}, {"label": kmeans.predict(rows), "scores": kmeans.transform(rows)})
    mixture = GaussianMixture(3, random_state=1).fit(X)
    proto = to_onnx(mixture, X[:1])
    save("mixture", proto, {"X": X[:SHOWN]}, {"label": mixture.predict(X[:SHOWN]), "probabilities": mixture.predict_proba(X[:SHOWN])})
    isolation = IsolationForest(n_estimators=8, max_samples=32, random_state=1).fit(X)
    proto = to_onnx(isolation, X[:1], target_opset={"": 18, "ai.onnx.ml": 3})
    save("isolation-forest", proto, {"X": rows}, {"label": isolation.predict(rows), "scores": isolation.decision_function(rows)})
    one = OneClassSVM().fit(X)
    proto = to_onnx(one, X[:1])
    save("one-class-svm", proto, {"X": rows}, {"label": one.predict(rows), "scores": one.decision_function(rows)})


def table_models():
    """A table with a column of each kind: every column is an input of its own."""
    rng = np.random.default_rng(9)
    table = pd.DataFrame({
        "age": rng.integers(18, 90, ROWS).astype(np.float32),
        "income": rng.normal(3000, 800, ROWS).astype(np.float32),
        "children": rng.integers(0, 5, ROWS),
        "city": rng.choice(["Amsterdam", "Łódź", "São Paulo", "Zürich"], ROWS),
        "plan": rng.choice(["basic", "gold"], ROWS),
    })
    table.loc[rng.random(ROWS) < 0.1, "income"] = np.nan
    y = (table["age"] / 30 + (table["plan"] == "gold") + rng.normal(0, 0.5, ROWS) > 2.2).map({True: "leaves", False: "stays"})
    types = [
        ("age", FloatTensorType([None, 1])), ("income", FloatTensorType([None, 1])), ("children", Int64TensorType([None, 1])),
        ("city", StringTensorType([None, 1])), ("plan", StringTensorType([None, 1])),
    ]
    rows = table.head(SHOWN).copy()
    rows.loc[0, "city"] = "nowhere"
    inputs = {c: rows[[c]].to_numpy(dtype=object if c in ("city", "plan") else None) for c in table.columns}

    def columns(encoder):
        return ColumnTransformer([
            ("numbers", make_pipeline(SimpleImputer(), StandardScaler()), ["age", "income"]),
            ("counts", "passthrough", ["children"]),
            ("texts", encoder, ["city", "plan"]),
        ])

    for name, model in {
        "columns-logistic": make_pipeline(columns(OneHotEncoder(handle_unknown="ignore")), LogisticRegression()),
        "columns-forest": make_pipeline(columns(OneHotEncoder(handle_unknown="ignore")), RandomForestClassifier(6, max_depth=4, random_state=1)),
        "columns-ordinal": make_pipeline(columns(OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)), GradientBoostingClassifier(n_estimators=6, random_state=1)),
    }.items():
        model.fit(table, y)
        proto = to_onnx(model, initial_types=types, options={id(model): {"zipmap": False}})
        save(name, proto, inputs, {"label": model.predict(rows), "probabilities": model.predict_proba(rows)})
    dense = make_pipeline(OneHotEncoder(handle_unknown="ignore", sparse_output=False), LogisticRegression()).fit(table[["city", "plan"]], y)
    proto = to_onnx(dense, initial_types=[("words", StringTensorType([None, 2]))], options={id(dense): {"zipmap": True}})
    words = rows[["city", "plan"]].to_numpy(dtype=object)
    save("words-zipmap", proto, {"words": words}, {"output_label": dense.predict(rows[["city", "plan"]]), "output_probability": dense.predict_proba(rows[["city", "plan"]])})


def main():
    OUT.mkdir(exist_ok=True)
    for old in OUT.iterdir():
        old.unlink()
    linear_models()
    tree_models()
    other_models()
    cluster_models()
    table_models()
    print(len(list(OUT.glob("*.onnx"))), "models")


if __name__ == "__main__":
    main()

