"""Writes the fixtures in this folder with the real XGBoost.

The Go tests never need Python: what this script writes is committed. Run it
again only to add a case, once per XGBoost line that is covered, each in a
virtual environment of its own, from this folder:

    pip install xgboost==1.0.2 numpy==1.26.4 scipy==1.11.4 && python generate.py
    pip install xgboost==1.2.1 "numpy<1.24" "scipy<1.11" && python generate.py
    pip install xgboost==1.7.6 "numpy<2" scipy           && python generate.py
    pip install xgboost==2.1.4 numpy scipy               && python generate.py
    pip install xgboost==3.2.0 numpy scipy               && python generate.py
    pip install xgboost==3.3.0 numpy scipy               && python generate.py
    pip install xgboost==3.4.1 numpy scipy               && python generate.py

Each run replaces the folder named after the installed version. A case named
`x` becomes

    x.json, x.ubj     the model, written by Booster.save_model
    x.expected.json   rows (null = missing), what Booster.predict answers for
                      them and for output_margin=True, and the version that said so

`refused/` holds files that the Go reader must refuse by name; they have no
expectations. Everything is seeded and runs on one thread. Numbers are the
shortest decimals that read back as the same float32.
"""

import json
import pathlib
import shutil
import warnings

import numpy as np
import xgboost as xgb

VERSION = tuple(int(part) for part in xgb.__version__.split(".")[:3])
OUT = pathlib.Path(__file__).parent / xgb.__version__
ROWS, FEATURES, SHOWN = 240, 5, 14
SUFFIXES = ("json", "ubj") if VERSION >= (1, 6) else ("json",)  # 1.6 was the first to write UBJSON


def data():
    """Features with missing values and a signal that depends on them."""
    rng = np.random.default_rng(20)
    x = rng.normal(size=(ROWS, FEATURES)).astype(np.float32)
    signal = (x[:, 0] + 0.5 * x[:, 1] * x[:, 2] + 0.3 * rng.normal(size=ROWS)).astype(np.float32)
    x[rng.random(size=x.shape) < 0.1] = np.nan
    return x, signal


def categorical_data():
    """Column 0 has 4 categories, column 1 has 40, the rest are numbers."""
    rng = np.random.default_rng(21)
    x, signal = data()
    x[:, 0] = rng.integers(0, 4, size=ROWS)
    x[:, 1] = rng.integers(0, 40, size=ROWS)
    effect = rng.normal(size=40)
    signal = signal + effect[x[:, 1].astype(int)] + x[:, 0]
    x[rng.random(size=ROWS) < 0.1, 1] = np.nan
    return x, signal.astype(np.float32)


def shown_rows(x, name):
    """Training rows, a row of nothing but missing values, values on thresholds, extremes."""
    rows = [x[i] for i in range(SHOWN)]
    rows.append(np.full(x.shape[1], np.nan))
    rows.append(np.zeros(x.shape[1]))
    rows.append(np.full(x.shape[1], -1e30))
    rows.append(np.full(x.shape[1], 1e30))
    learner = json.loads((OUT / f"{name}.json").read_text().replace("NaN", "null"))["learner"]
    model = learner["gradient_booster"].get("gbtree", learner["gradient_booster"])["model"]
    for tree in model.get("trees", [])[:4]:
        if tree["left_children"][0] != -1 and tree["split_conditions"][0] is not None:
            row = x[0].copy()
            row[tree["split_indices"][0]] = np.float32(tree["split_conditions"][0])
            rows.append(row)
    return np.array(rows, dtype=np.float32)


def categorical(feature_types):
    return {"enable_categorical": True} if feature_types else {}  # unknown to the oldest line


def numbers(values):
    values = np.asarray(values, dtype=np.float32).reshape(-1)
    return [None if np.isnan(v) else json.loads(str(v)) for v in values]


def write(name, booster, x, feature_types=None):
    for suffix in SUFFIXES:
        booster.save_model(str(OUT / f"{name}.{suffix}"))
    rows = shown_rows(x, name)
    answers = []
    for suffix in SUFFIXES:
        loaded = xgb.Booster({"nthread": 1, "verbosity": 0}, model_file=str(OUT / f"{name}.{suffix}"))
        types = getattr(loaded, "feature_types", None) or feature_types  # the oldest line has no such attribute
        d = xgb.DMatrix(
            rows, feature_names=loaded.feature_names, feature_types=types, nthread=1, **categorical(feature_types)
        )
        answers.append((loaded.predict(d), loaded.predict(d, output_margin=True)))
    predict, margin = answers[0]
    for other in answers[1:]:
        assert np.array_equal(predict, other[0]) and np.array_equal(margin, other[1]), name
    text = json.dumps({
        "xgboost": xgb.__version__,
        "features": rows.shape[1],
        "rows": [numbers(row) for row in rows],
        "predict": numbers(predict),
        "margin": numbers(margin),
    })
    (OUT / f"{name}.expected.json").write_text(text.replace('], "predict"', '],\n"predict"').replace("], [", "],\n[") + "\n")


def case(name, params, label=None, rounds=4, matrix=None, values=None, feature_types=None, **train):
    x, signal = (values or data)()
    if matrix is None:
        matrix = xgb.DMatrix(
            x, label=label(signal) if label else signal, feature_types=feature_types, nthread=1, **categorical(feature_types)
        )
    settings = {"verbosity": 0, "nthread": 1, "seed": 7, "max_depth": 3, "eta": 0.4, "tree_method": "hist", **params}
    booster = xgb.train(settings, matrix, num_boost_round=rounds, **train)
    write(name, booster, x, feature_types)
    return booster


def yes_no(signal):
    return (signal > 0).astype(np.float32)


def share(signal):
    return (1 / (1 + np.exp(-signal))).astype(np.float32)


def positive(signal):
    return np.exp(signal / 2).astype(np.float32)


def count(signal):
    return np.floor(np.exp(signal / 2)).astype(np.float32)


def classes(signal):
    return np.digitize(signal, [-0.8, 0.1, 0.9]).astype(np.float32)


def targets(signal):
    return np.stack([signal, signal * signal + 3, -2 * signal], axis=1)


def survival(objective):
    x, signal = data()
    d = xgb.DMatrix(x, nthread=1)
    if objective == "survival:cox":
        d.set_label(np.where(np.arange(ROWS) % 3 == 0, -positive(signal), positive(signal)))
    else:
        d.set_float_info("label_lower_bound", positive(signal))
        d.set_float_info("label_upper_bound", np.where(np.arange(ROWS) % 3 == 0, np.inf, positive(signal)))
    return d


def ranking(grades):
    x, signal = data()
    d = xgb.DMatrix(x, label=grades(signal), nthread=1)
    d.set_group([20] * (ROWS // 20))
    return d


def core():
    """What every line of XGBoost is asked for."""
    case("reg-squarederror", {"objective": "reg:squarederror"})
    case("binary-logistic", {"objective": "binary:logistic"}, yes_no)
    case("binary-logitraw", {"objective": "binary:logitraw", "base_score": 0.3}, yes_no)
    case("count-poisson", {"objective": "count:poisson"}, count)
    case("multi-softprob", {"objective": "multi:softprob", "num_class": 4}, classes, rounds=2)
    case("survival-cox", {"objective": "survival:cox"}, matrix=survival("survival:cox"))
    case("dart", {"objective": "reg:squarederror", "booster": "dart", "rate_drop": 0.5, "one_drop": 1}, rounds=6)
    case("gblinear-multi", {"objective": "multi:softprob", "booster": "gblinear", "num_class": 4,
                            "tree_method": "auto", "updater": "coord_descent"}, classes)


def since_1_6():
    """What the oldest line cannot do, or does not do by default."""
    case("categorical-partition", {"objective": "reg:squarederror", "max_cat_to_onehot": 1}, rounds=3,
         values=categorical_data, feature_types=["c", "c", "q", "q", "q"])
    case("multi-output", {"objective": "reg:squarederror"}, targets, rounds=2)
    case("pruned", {"objective": "reg:squarederror", "tree_method": "exact", "gamma": 12, "max_depth": 4}, rounds=3)
    case("base-score", {"objective": "binary:logistic", "base_score": 0.125}, yes_no, rounds=2)


def since_2():
    """Quantiles may cross; the newest line sorts them."""
    case("several-quantiles", {"objective": "reg:quantileerror", "quantile_alpha": np.array([0.2, 0.3, 0.4])}, rounds=3)


def full():
    """The rest, asked of the newest line only: nothing in the file differs between lines here."""
    case("reg-linear", {"objective": "reg:linear"}, rounds=2)
    case("reg-squaredlogerror", {"objective": "reg:squaredlogerror"}, positive, rounds=2)
    case("reg-logistic", {"objective": "reg:logistic"}, share, rounds=2)
    case("reg-pseudohubererror", {"objective": "reg:pseudohubererror"}, rounds=2)
    case("reg-absoluteerror", {"objective": "reg:absoluteerror"}, rounds=2)
    case("reg-quantileerror", {"objective": "reg:quantileerror", "quantile_alpha": 0.7}, rounds=2)
    case("reg-gamma", {"objective": "reg:gamma"}, positive, rounds=2)
    case("reg-tweedie", {"objective": "reg:tweedie"}, positive, rounds=2)
    case("binary-hinge", {"objective": "binary:hinge"}, yes_no, rounds=3)
    case("multi-softmax", {"objective": "multi:softmax", "num_class": 4}, classes, rounds=2)
    case("rank-pairwise", {"objective": "rank:pairwise"}, matrix=ranking(classes), rounds=2)
    case("rank-ndcg", {"objective": "rank:ndcg"}, matrix=ranking(classes), rounds=2)
    case("rank-map", {"objective": "rank:map"}, matrix=ranking(yes_no), rounds=2)
    case("survival-aft", {"objective": "survival:aft"}, matrix=survival("survival:aft"), rounds=2)

    case("dart-multi", {"objective": "multi:softprob", "booster": "dart", "num_class": 3, "rate_drop": 0.4,
                        "one_drop": 1}, lambda s: np.minimum(classes(s), 2), rounds=3)
    linear = {"booster": "gblinear", "tree_method": "auto", "updater": "coord_descent"}
    case("gblinear", {"objective": "reg:squarederror", **linear})
    case("gblinear-logistic", {"objective": "binary:logistic", **linear}, yes_no)
    case("gblinear-targets", {"objective": "reg:squarederror", **linear}, targets)
    case("categorical-onehot", {"objective": "binary:logistic", "max_cat_to_onehot": 64}, yes_no, rounds=3,
         values=categorical_data, feature_types=["c", "c", "q", "q", "q"])
    case("one-leaf", {"objective": "reg:squarederror", "gamma": 1e9}, rounds=2)
    case("zero-trees", {"objective": "reg:squarederror"}, rounds=0)
    case("base-score-targets", {"objective": "count:poisson"}, lambda s: np.stack([count(s), 3 * count(s)], axis=1), rounds=1)
    case("base-score-certain", {"objective": "binary:logistic"}, np.zeros_like, rounds=1)
    case("forest", {"objective": "reg:squarederror", "num_parallel_tree": 3, "subsample": 0.6, "colsample_bynode": 0.6,
                    "max_depth": 2}, rounds=2)
    case("many-trees", {"objective": "binary:logistic", "max_depth": 2, "eta": 0.1}, yes_no, rounds=60)
    case("deep", {"objective": "reg:squarederror", "max_depth": 12, "lambda": 0, "min_child_weight": 0}, rounds=1)
    case("narrow-deep", {"objective": "reg:squarederror", "max_depth": 0, "max_leaves": 40, "grow_policy": "lossguide"}, rounds=1)

    x, signal = data()
    named = xgb.DMatrix(x, label=signal, nthread=1, feature_types=["float", "float", "int", "i", "q"],
                        feature_names=["age", 'quote " back \\', "prix en \u20ac", "tab\there", "\U0001F600"])
    case("feature-names", {"objective": "reg:squarederror"}, matrix=named, rounds=1)

    train = xgb.DMatrix(x[:180], label=signal[:180], nthread=1)
    held = xgb.DMatrix(x[180:], label=signal[180:], nthread=1)
    stopped = case("early-stopping", {"objective": "reg:squarederror", "eta": 0.9}, matrix=train, rounds=30,
                   evals=[(held, "held")], early_stopping_rounds=3, verbose_eval=False)
    assert stopped.best_iteration + 1 < stopped.num_boosted_rounds()


def since_3_3():
    """What is new, or written or answered otherwise than before."""
    case("reg-expectileerror", {"objective": "reg:expectileerror", "expectile_alpha": 0.7})
    case("several-expectiles", {"objective": "reg:expectileerror", "expectile_alpha": np.array([0.1, 0.5, 0.9])}, rounds=3)
    case("reg-quantileerror", {"objective": "reg:quantileerror", "quantile_alpha": 0.7}, rounds=2)


def refused():
    """Files that no rule of ours covers: the reader says so instead of guessing."""
    (OUT / "refused").mkdir()
    x, signal = data()
    small = {"verbosity": 0, "nthread": 1, "seed": 7, "max_depth": 2, "tree_method": "hist"}

    def save(name, params, label):
        xgb.train({**small, **params}, xgb.DMatrix(x, label=label, nthread=1), num_boost_round=1).save_model(OUT / "refused" / name)

    if VERSION < (2,):
        save("old-binary.model", {"objective": "reg:squarederror"}, signal)
        return
    save("vector-leaf.ubj", {"multi_strategy": "multi_output_tree"}, targets(signal))
    save("vector-leaf.json", {"multi_strategy": "multi_output_tree"}, targets(signal))
    snapshot = xgb.train(small, xgb.DMatrix(x, label=signal, nthread=1), num_boost_round=1).__getstate__()["handle"]
    (OUT / "refused" / "snapshot.ubj").write_bytes(bytes(snapshot))


def main():
    warnings.simplefilter("ignore")
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir()
    core()
    if VERSION >= (1, 6):
        since_1_6()
    if VERSION >= (2,):
        since_2()
    if (3,) <= VERSION < (3, 3):
        full()
    if VERSION >= (3, 3):
        since_3_3()
    refused()


if __name__ == "__main__":
    main()
