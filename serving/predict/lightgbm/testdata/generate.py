"""Writes the fixtures in this folder with the real LightGBM.

The Go tests never need Python: what this script writes is committed. Run it
again only to add a case, once per LightGBM line that is covered, each in a
virtual environment of its own, from this folder:

    pip install lightgbm==4.7.0 numpy==1.26.4 scipy==1.11.4 pandas==2.1.4 && python generate.py

and with numpy==1.23.5 scipy==1.10.1 pandas==1.5.3 scikit-learn==1.2.2 for each of

    lightgbm==3.3.5  lightgbm==2.3.1  lightgbm==2.2.3  lightgbm==2.2.2  lightgbm==2.1.2

Each run replaces the folder named after the installed version. A case named
`x` becomes

    x.txt             the model, written by Booster.save_model
    x.expected.json   rows (null = missing, "inf" = infinite), what Booster.predict
                      of the loaded file answers for them and for raw_score=True,
                      and the version that said so

Everything is seeded and runs on one thread. Numbers are the shortest decimals
that read back as the same float64.
"""

import json
import math
import pathlib
import shutil
import warnings

import lightgbm as lgb
import numpy as np
import pandas as pd

VERSION = tuple(int(part) for part in lgb.__version__.split(".")[:3])
OUT = pathlib.Path(__file__).parent / lgb.__version__
ROWS, FEATURES, SHOWN = 240, 5, 10
ZERO = float(np.float32(1e-35))  # kZeroThreshold of LightGBM
QUIET = {"verbose": -1, "num_threads": 1, "seed": 7, "deterministic": True, "force_row_wise": True}
SMALL = {"num_leaves": 7, "min_data_in_leaf": 5, "learning_rate": 0.3, "max_bin": 63}


def data():
    """Features with missing values and a signal that depends on them."""
    rng = np.random.default_rng(20)
    x = rng.normal(size=(ROWS, FEATURES))
    signal = x[:, 0] + 0.5 * x[:, 1] * x[:, 2] + 0.3 * rng.normal(size=ROWS)
    x[rng.random(size=x.shape) < 0.1] = np.nan
    return x, signal


def complete_data():
    """The same without a missing value: splits of missing type None."""
    x, signal = data()
    return np.nan_to_num(x, nan=0.7), signal


def zero_data():
    """Many zeros, for zero_as_missing: splits of missing type Zero."""
    rng = np.random.default_rng(22)
    x, signal = complete_data()
    zero = rng.random(size=x.shape) < 0.4
    x[zero] = 0
    return x, signal + 0.8 * zero[:, 0] - 0.6 * zero[:, 1]


def categorical_data(missing=True):
    """Column 0 has 4 categories, column 1 has 70, the rest are numbers."""
    rng = np.random.default_rng(21)
    x, signal = data()
    x[:, 0] = rng.integers(0, 4, size=ROWS)
    x[:, 1] = rng.integers(0, 70, size=ROWS)
    effect = rng.normal(size=70)
    signal = signal + effect[x[:, 1].astype(int)] + x[:, 0]
    if missing:
        x[rng.random(size=ROWS) < 0.1, 1] = np.nan
    return x, signal


def thresholds(text):
    """The first numerical splits of a model file: feature and threshold."""
    found = []
    for block in text.replace("\r", "").split("\nTree=")[1:]:
        lines = dict(line.split("=", 1) for line in block.split("\n") if "=" in line)
        if int(lines["num_leaves"]) < 2:
            continue
        columns = [lines[key].split() for key in ("split_feature", "threshold", "decision_type")]
        found += [(int(f), float(t)) for f, t, d in zip(*columns) if int(d) & 1 == 0]
    return found[:6]


def shown_rows(x, text):
    """Training rows, rows of one value, values on and around thresholds, at the edge of what is zero."""
    rows = [x[i] for i in range(SHOWN)]
    for value in (np.nan, 0.0, -0.0, -1e300, 1e300, np.inf, -np.inf, -0.5, -1.0, 2.999, 1e10,
                  ZERO, -ZERO, np.nextafter(ZERO, 1), -np.nextafter(ZERO, 1), 1e-36):
        rows.append(np.full(x.shape[1], value))
    for feature, threshold in thresholds(text):
        for value in (threshold, np.nextafter(threshold, np.inf)):
            row = x[1].copy()
            row[feature] = value
            rows.append(row)
    return np.array(rows)


def number(v):
    if math.isnan(v):
        return None
    if math.isinf(v):
        return "inf" if v > 0 else "-inf"
    return float(v)


def numbers(values):
    return [number(v) for v in np.asarray(values, dtype=np.float64).reshape(-1)]


def write(name, booster, x, finite=False):
    path = OUT / f"{name}.txt"
    booster.save_model(str(path))
    rows = shown_rows(x, path.read_text())
    if finite:  # infinity times a coefficient has no answer worth pinning
        rows = rows[~np.isinf(rows).any(axis=1)]
    loaded = lgb.Booster(model_file=str(path))
    predict = loaded.predict(rows)
    if name == "early-stopping":  # the file is cut at the best iteration, which is what the trained one answers with
        assert np.array_equal(predict, booster.predict(rows))
    text = json.dumps({
        "lightgbm": lgb.__version__,
        "features": rows.shape[1],
        "rows": [numbers(row) for row in rows],
        "predict": numbers(predict),
        "raw": numbers(loaded.predict(rows, raw_score=True)),
    })
    (OUT / f"{name}.expected.json").write_text(text.replace('], "predict"', '],\n"predict"').replace("], [", "],\n[") + "\n")


def case(name, params, label=None, rounds=4, values=None, categorical="auto", weight=None, group=None, names="auto",
         finite=False, **train):
    x, signal = (values or data)()
    y = label(signal) if label else signal
    dataset = lgb.Dataset(x, label=y, weight=weight, group=group, categorical_feature=categorical, feature_name=names,
                          params={**QUIET, **SMALL, **params})
    booster = lgb.train({**QUIET, **SMALL, **params}, dataset, num_boost_round=rounds, **train)
    write(name, booster, x, finite)
    return booster


def yes_no(signal):
    return (signal > 0).astype(np.float64)


def share(signal):
    return 1 / (1 + np.exp(-signal))


def positive(signal):
    return np.exp(signal / 2)


def count(signal):
    return np.floor(np.exp(signal / 2))


def classes(signal):
    return np.digitize(signal, [-0.8, 0.1, 0.9]).astype(np.float64)


FOREST = {"boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.6, "feature_fraction": 0.8}
CATEGORIES = {"min_data_per_group": 5, "cat_smooth": 1, "cat_l2": 1, "max_cat_to_onehot": 4}


def oldest():
    """What the lines that write v2 are asked for."""
    case("regression", {"objective": "regression"})
    case("zeros", {"objective": "regression"}, values=zero_data)
    case("missing-none", {"objective": "regression"}, values=complete_data)
    case("missing-zero", {"objective": "regression", "zero_as_missing": True}, values=zero_data)
    case("multiclass", {"objective": "multiclass", "num_class": 4}, classes, rounds=2)
    case("cross-entropy-lambda", {"objective": "xentlambda"}, share, rounds=2)
    case("dart", {"objective": "binary", "boosting": "dart", "drop_rate": 0.5, "skip_drop": 0.0}, yes_no, rounds=6)
    case("rf", {"objective": "binary", **FOREST}, yes_no, rounds=3)
    case("rf-regression", {"objective": "regression", **FOREST}, rounds=3)
    case("categorical", {"objective": "regression", **CATEGORIES}, values=categorical_data, categorical=[0, 1])
    case("one-leaf", {"objective": "regression", "min_gain_to_split": 1e9}, rounds=2)


def core():
    """What every newer line is asked for."""
    case("regression", {"objective": "regression"})
    case("missing-none", {"objective": "regression"}, values=complete_data)
    case("missing-zero", {"objective": "regression", "zero_as_missing": True}, values=zero_data)
    case("zeros", {"objective": "regression"}, values=zero_data)
    case("missing-unused", {"objective": "regression", "use_missing": False})
    case("binary", {"objective": "binary", "sigmoid": 0.7}, yes_no)
    case("multiclass", {"objective": "multiclass", "num_class": 4}, classes, rounds=2)
    case("multiclassova", {"objective": "multiclassova", "num_class": 4, "sigmoid": 1.5}, classes, rounds=2)
    case("poisson", {"objective": "poisson"}, count)
    case("cross-entropy", {"objective": "xentropy"}, share, rounds=2)
    case("cross-entropy-lambda", {"objective": "xentlambda"}, share, rounds=2)
    case("dart", {"objective": "binary", "boosting": "dart", "drop_rate": 0.5, "skip_drop": 0.0}, yes_no, rounds=6)
    case("rf", {"objective": "binary", **FOREST}, yes_no, rounds=3)
    case("rf-multiclass", {"objective": "multiclass", "num_class": 4, **FOREST}, classes, rounds=2)
    case("categorical", {"objective": "regression", **CATEGORIES}, values=categorical_data, categorical=[0, 1])
    case("categorical-complete", {"objective": "binary", **CATEGORIES}, yes_no, categorical=[0, 1],
         values=lambda: categorical_data(missing=False))
    case("one-leaf", {"objective": "regression", "min_gain_to_split": 1e9}, rounds=2)
    case("lambdarank", {"objective": "lambdarank"}, classes, group=[20] * (ROWS // 20), rounds=2)


def full():
    """The rest, asked of the newest line."""
    case("regression-sqrt", {"objective": "regression", "reg_sqrt": True}, rounds=2)
    case("l1-sqrt", {"objective": "regression_l1", "reg_sqrt": True}, rounds=2)
    case("fair-sqrt", {"objective": "fair", "reg_sqrt": True}, rounds=2)
    case("quantile-sqrt", {"objective": "quantile", "reg_sqrt": True, "alpha": 0.8}, rounds=2)
    case("mape-sqrt", {"objective": "mape", "reg_sqrt": True}, positive, rounds=2)
    case("huber-sqrt", {"objective": "huber", "reg_sqrt": True}, rounds=2)
    case("l1", {"objective": "regression_l1"}, rounds=2)
    case("huber", {"objective": "huber"}, rounds=2)
    case("fair", {"objective": "fair"}, rounds=2)
    case("quantile", {"objective": "quantile", "alpha": 0.7}, rounds=2)
    case("mape", {"objective": "mape"}, positive, rounds=2)
    case("gamma", {"objective": "gamma"}, positive, rounds=2)
    case("tweedie", {"objective": "tweedie", "tweedie_variance_power": 1.3}, positive, rounds=2)
    case("rank-xendcg", {"objective": "rank_xendcg", "objective_seed": 3}, classes, group=[20] * (ROWS // 20), rounds=2)
    case("goss", {"objective": "regression", "data_sample_strategy": "goss", "learning_rate": 0.5}, rounds=4)
    case("rf-regression", {"objective": "regression", **FOREST}, rounds=3)
    case("dart-multiclass", {"objective": "multiclass", "num_class": 3, "boosting": "dart", "drop_rate": 0.5, "skip_drop": 0.0},
         lambda s: np.minimum(classes(s), 2), rounds=4)
    case("monotone", {"objective": "regression", "monotone_constraints": [1, 0, -1, 0, 0]}, rounds=2)
    case("many-trees", {"objective": "binary", "num_leaves": 4, "learning_rate": 0.1}, yes_no, rounds=60)
    case("deep", {"objective": "regression", "num_leaves": 90, "min_data_in_leaf": 1, "min_sum_hessian_in_leaf": 0}, rounds=1)
    x, signal = data()
    write("zero-trees", lgb.Booster({**QUIET, "objective": "binary"}, lgb.Dataset(x, label=yes_no(signal), params=QUIET)), x)
    case("feature-names", {"objective": "regression"}, rounds=1,
         names=["age", "price_in_\u20ac", "a=b", "\U0001F600", "back\\slash"])


def custom():
    """An objective of the program that trained: the file names it custom, or not at all, and answers are the sums."""
    x, signal = data()
    gradient = lambda score, dataset: (score - dataset.get_label(), np.ones_like(score))
    dataset = lgb.Dataset(x, label=signal, params={**QUIET, **SMALL})
    if VERSION >= (4,):
        booster = lgb.train({**QUIET, **SMALL, "objective": gradient}, dataset, num_boost_round=2)
    else:
        booster = lgb.train({**QUIET, **SMALL}, dataset, num_boost_round=2, fobj=gradient)
    write("custom", booster, x)


def early_stopping():
    x, signal = data()
    settings = {**QUIET, **SMALL, "objective": "regression", "learning_rate": 0.6}
    dataset = lgb.Dataset(x[:180], label=signal[:180], params=settings)
    held = lgb.Dataset(x[180:], label=signal[180:], reference=dataset)
    stop = {"callbacks": [lgb.early_stopping(3, verbose=False)]} if VERSION >= (4,) else {
        "early_stopping_rounds": 3, "verbose_eval": False}
    booster = lgb.train(settings, dataset, num_boost_round=30, valid_sets=[held], keep_training_booster=True, **stop)
    assert 1 < booster.best_iteration < booster.current_iteration()
    write("early-stopping", booster, x)


def linear():
    """Linear models in the leaves, since 3.2: with missing values, with categories, and of one leaf."""
    lines = {"objective": "regression", "linear_tree": True, "linear_lambda": 0.1}
    case("linear", lines, finite=True)
    case("linear-binary", {**lines, "objective": "binary"}, yes_no, values=complete_data, finite=True)
    case("linear-categorical", {**lines, **CATEGORIES}, values=categorical_data, categorical=[0, 1], finite=True)
    case("linear-one-leaf", {**lines, "min_gain_to_split": 1e9}, rounds=2, finite=True)
    case("linear-multiclass", {**lines, "objective": "multiclass", "num_class": 4}, classes, rounds=2, finite=True)


def pandas_categories():
    """Columns that were categories of a data frame: the file has their lists, and the trees split codes."""
    x, signal = categorical_data(missing=False)
    frame = pd.DataFrame(x, columns=["colour", "city", "a", "b", "c"])
    frame["colour"] = pd.Categorical(np.array(["red", "green", "blue", "black"])[x[:, 0].astype(int)])
    dataset = lgb.Dataset(frame.drop(columns="city"), label=signal, params={**QUIET, **SMALL, **CATEGORIES})
    booster = lgb.train({**QUIET, **SMALL, **CATEGORIES, "objective": "regression"}, dataset, num_boost_round=2)
    codes = frame.drop(columns="city").copy()
    codes["colour"] = codes["colour"].cat.codes
    write("pandas-categorical", booster, codes.to_numpy(dtype=np.float64))


def main():
    warnings.simplefilter("ignore")
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir()
    if VERSION < (2, 3):
        oldest()
        return
    core()
    early_stopping()
    custom()
    pandas_categories()
    if VERSION >= (3, 2):
        linear()
    if VERSION >= (4, 1):
        full()


if __name__ == "__main__":
    main()
