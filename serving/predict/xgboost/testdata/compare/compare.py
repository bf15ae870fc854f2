"""Times the original XGBoost, called from Python, and our runtime on one model.

    pip install xgboost==3.2.0 numpy==1.26.4 scipy==1.11.4 && python compare.py

Trains 500 trees of depth 8 on 50 features, asks both for the same 1024 rows in
the same run, one thread each, and takes the best of five rounds. The answers have
to agree. XGBoost is asked with inplace_predict, its fastest way. Prints
microseconds per row. Go is only needed here to run main.go beside this file;
nothing of this is part of the tests.
"""

import pathlib
import subprocess
import tempfile
import time

import numpy as np
import xgboost as xgb

rng = np.random.default_rng(5)
x = rng.normal(size=(6000, 50)).astype(np.float32)
y = (x[:, :5].sum(axis=1) + x[:, 5] * x[:, 6] + rng.normal(size=len(x)) > 0).astype(float)
x[rng.random(size=x.shape) < 0.05] = np.nan
settings = {"objective": "binary:logistic", "max_depth": 8, "eta": 0.05, "nthread": 1, "seed": 1}
rows = rng.normal(size=(1024, 50)).astype(np.float32)
rows[rng.random(size=rows.shape) < 0.05] = np.nan

with tempfile.TemporaryDirectory() as folder:
    path = pathlib.Path(folder)
    xgb.train(settings, xgb.DMatrix(x, label=y), num_boost_round=500).save_model(path / "model.ubj")
    (path / "rows.f32").write_bytes(rows.tobytes())
    model = xgb.Booster({"nthread": 1}, model_file=str(path / "model.ubj"))
    original = {}
    for size in (1, 256):
        rounds = []
        for _ in range(5):
            begin = time.perf_counter()
            for at in range(0, len(rows), size):
                model.inplace_predict(rows[at:at + size])
            rounds.append((time.perf_counter() - begin) / len(rows))
        original[f"rows_{size}"] = min(rounds) * 1e9
    here = pathlib.Path(__file__).parent
    said = subprocess.run(["go", "run", "main.go", folder], cwd=here, check=True, capture_output=True, text=True).stdout
    ours = {key: float(value) for key, value in (line.split() for line in said.splitlines())}
    answers = np.frombuffer((path / "answers.f32").read_bytes(), dtype=np.float32)
    difference = np.abs(answers - model.inplace_predict(rows)).max()
    assert difference < 1e-6, difference
    print(f"model {(path / 'model.ubj').stat().st_size / 1e6:.1f} MB, read at {ours['read_mb_per_s']:.0f} MB/s; largest difference {difference:.1e}")
    for size in (1, 256):
        a, b = original[f"rows_{size}"] / 1e3, ours[f"rows_{size}"] / 1e3
        print(f"{size} rows at once: XGBoost {xgb.__version__} from Python {a:.1f} us a row, ours {b:.1f} us, {a / b:.1f} times as fast")
