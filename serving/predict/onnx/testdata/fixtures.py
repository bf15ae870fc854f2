"""What the scripts in this folder share: how a fixture is written.

A fixture `x` is `x.onnx`, the model, and `x.json`: its inputs, what ONNX Runtime
answers for them and what the framework that trained the model answers. Numbers are
the shortest decimals that read back as the same float; NaN is null, infinities are
texts.
"""

import json
import math

import numpy as np
import onnx
import onnxruntime

TYPES = {
    "float32": "float", "float64": "double", "int64": "int64", "int32": "int32", "int8": "int8", "uint8": "uint8",
    "bool": "bool", "object": "string", "str": "string",
}


def plain(value):
    """A number as JSON takes it."""
    if isinstance(value, (float, np.floating)):
        if math.isnan(value):
            return None
        if math.isinf(value):
            return "inf" if value > 0 else "-inf"
        return float(str(value)) if isinstance(value, np.float32) else float(value)
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (int, np.integer)):
        return int(value)
    return str(value)


def tensor(name, array):
    array = np.asarray(array)
    kind = "string" if array.dtype.kind in "UOT" else TYPES[str(array.dtype)]
    return {"name": name, "type": kind, "shape": list(array.shape), "data": [plain(v) for v in array.ravel()]}


def unzipped(value):
    """The probabilities that ZipMap has made a list of maps, as a matrix."""
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return np.array([list(row.values()) for row in value], dtype=np.float32)
    return value


def write(path, model, inputs, original, check=True, **about):
    """Writes a fixture. original has what the framework answers by output name."""
    if check:
        onnx.checker.check_model(model)
    del model.metadata_props[:]
    data = model.SerializeToString(deterministic=True)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    names = [o.name for o in session.get_outputs()]
    answers = [unzipped(a) for a in session.run(None, inputs)]
    outputs = []
    for name, answer in zip(names, answers, strict=True):
        out = tensor(name, answer)
        out["runtime"] = out.pop("data")
        if name in original:
            there = np.asarray(original[name])
            if there.size != np.asarray(answer).size:
                raise SystemExit(f"{path}: {name}: {there.shape} is not {np.asarray(answer).shape}")
            out["original"] = [plain(v) for v in there.ravel()]
            if out["type"] != "string":
                gap = np.abs(there.ravel().astype(float) - np.asarray(answer).ravel().astype(float))
                print(f"{path.stem:32} {name:20} {len(data):7} bytes, the runtime differs by {np.nanmax(gap, initial=0):.2g}")
        outputs.append(out)
    path.with_suffix(".onnx").write_bytes(data)
    about.update(onnx=onnx.__version__, onnxruntime=onnxruntime.__version__, numpy=np.__version__)
    lines = [f' "about": {json.dumps(about)}']
    for key, tensors in (("inputs", [tensor(k, v) for k, v in inputs.items()]), ("outputs", outputs)):
        lines.append(f' "{key}": [\n  ' + ",\n  ".join(json.dumps(t) for t in tensors) + "\n ]")
    path.with_suffix(".json").write_text("{\n" + ",\n".join(lines) + "\n}\n")
