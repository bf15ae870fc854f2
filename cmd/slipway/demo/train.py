"""Trains the two demonstration models in this folder with the real XGBoost.

    pip install xgboost==3.2.0 numpy && python train.py

Customers, and whether each of them left, are made up by a seeded generator.
churn-v1 is a first attempt on few customers with few, shallow trees; churn-v2
is the better model that replaces it. sample.json holds one customer and what
XGBoost itself answers for it. Same versions, same files.
"""

import json
import pathlib

import numpy as np
import xgboost as xgb

HERE = pathlib.Path(__file__).parent
FEATURES = ["tenure_months", "monthly_charges", "support_tickets", "contract_months", "late_payments", "data_usage_gb"]


def customers(count, seed):
    """Rows in the order of FEATURES, and 1 for each customer who left."""
    rng = np.random.default_rng(seed)
    tenure = np.round(rng.gamma(2.0, 14.0, count)).clip(0, 120)
    contract = rng.choice([1, 12, 24], size=count, p=[0.5, 0.3, 0.2])
    usage = np.round(rng.lognormal(3.0, 0.7, count), 1)
    charges = np.round(18 + 0.6 * usage + rng.normal(30, 12, count), 2).clip(12, 240)
    tickets = rng.poisson(1.2 + 1.5 * (charges > 90), count)
    late = rng.poisson(0.6, count)
    left = (
        -1.6 - 0.045 * tenure + 0.02 * charges + 0.45 * tickets + 0.5 * late - 0.09 * contract
        + 0.9 * ((contract == 1) & (tickets > 2)) - 0.012 * usage * (tenure > 24) + 0.6 * (usage < 8)
    )
    churned = rng.random(count) < 1 / (1 + np.exp(-left))
    rows = np.stack([tenure, charges, tickets, contract, late, usage], axis=1).astype(np.float32)
    rows[rng.random(count) < 0.05, 5] = np.nan  # usage is not measured for everyone
    return rows, churned.astype(np.float32)


def train(rows, churned, rounds, **params):
    matrix = xgb.DMatrix(rows, label=churned, feature_names=FEATURES, nthread=1)
    settings = {"objective": "binary:logistic", "tree_method": "hist", "nthread": 1, "seed": 7, **params}
    return xgb.train(settings, matrix, num_boost_round=rounds)


def log_loss(model, rows, churned):
    p = model.predict(xgb.DMatrix(rows, feature_names=FEATURES, nthread=1))
    return -np.mean(churned * np.log(p) + (1 - churned) * np.log(1 - p))


def main():
    rows, churned = customers(6000, seed=1)
    models = {
        "churn-v1": train(rows[:800], churned[:800], rounds=10, max_depth=3, eta=0.3),
        "churn-v2": train(rows, churned, rounds=50, max_depth=3, eta=0.22, min_child_weight=8),
    }
    held_rows, held_churned = customers(4000, seed=2)
    row = np.array([[4, 96.5, 5, 1, 2, 31.5]], dtype=np.float32)
    expected = {}
    for name, model in models.items():
        model.save_model(HERE / f"{name}.ubj")
        answer = model.predict(xgb.DMatrix(row, feature_names=FEATURES, nthread=1))[0]
        expected[name] = json.loads(str(answer))
        print(f"{name}: log loss {log_loss(model, held_rows, held_churned):.4f} on customers it has not seen")
    sample = {"features": FEATURES, "row": [json.loads(str(v)) for v in row[0]], "expected": expected}
    (HERE / "sample.json").write_text(json.dumps(sample, indent=2) + "\n")


if __name__ == "__main__":
    main()
