"""Times ONNX Runtime on the networks of BenchmarkRun, to hold them side by side.

    pip install onnx==1.23.2 onnxruntime==1.31.1 numpy==2.4.6
    python testdata/compare.py && go test -run '^$' -bench Run .

One thread, the default optimizations, the fastest of many runs.
"""

import time

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

RNG = np.random.default_rng(1)


def weights(name, *dims):
    return numpy_helper.from_array(((RNG.random(dims) - 0.5) / 8).astype(np.float32), name)


def session(nodes, initializers, shape, last):
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", *shape])],
        [helper.make_tensor_value_info(last, TensorProto.FLOAT, None)], initializers,
    )
    model = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 18)])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def dense(*sizes):
    nodes, initializers, h = [], [], "x"
    for i, (a, b) in enumerate(zip(sizes, sizes[1:])):
        initializers += [weights(f"w{i}", b, a), weights(f"b{i}", b)]
        nodes.append(helper.make_node("Gemm", [h, f"w{i}", f"b{i}"], [f"z{i}"], transB=1))
        h = f"z{i}"
        if i < len(sizes) - 2:
            nodes.append(helper.make_node("Relu", [h], [f"h{i}"]))
            h = f"h{i}"
    return session(nodes, initializers, [sizes[0]], h)


def pictures():
    make = helper.make_node
    nodes = [
        make("Conv", ["x", "k1", "c1"], ["a"], pads=[1, 1, 1, 1]), make("Relu", ["a"], ["a2"]), make("MaxPool", ["a2"], ["p"], kernel_shape=[2, 2], strides=[2, 2]),
        make("Conv", ["p", "k2", "c2"], ["d"], pads=[1, 1, 1, 1]), make("Relu", ["d"], ["d2"]), make("MaxPool", ["d2"], ["e"], kernel_shape=[2, 2], strides=[2, 2]),
        make("Flatten", ["e"], ["f"]), make("Gemm", ["f", "w", "b"], ["y"], transB=1),
    ]
    initializers = [weights("k1", 8, 1, 3, 3), weights("c1", 8), weights("k2", 16, 8, 3, 3), weights("c2", 16), weights("w", 10, 784), weights("b", 10)]
    return session(nodes, initializers, [1, 28, 28], "y")


def main():
    for name, s, shape in [
        ("mlp-50-256-128-1", dense(50, 256, 128, 1), [50]),
        ("mlp-512-1024x5-512", dense(512, 1024, 1024, 1024, 1024, 1024, 512), [512]),
        ("cnn-28x28", pictures(), [1, 28, 28]),
    ]:
        for rows in (1, 64):
            x = {"x": (RNG.random([rows, *shape]) - 0.5).astype(np.float32)}
            best, until = 1e9, time.perf_counter() + 2
            while time.perf_counter() < until:
                began = time.perf_counter()
                s.run(None, x)
                best = min(best, time.perf_counter() - began)
            print(f"{name}/rows={rows}: {best * 1e6:.1f} us, {best / rows * 1e9:.0f} ns/row")


if __name__ == "__main__":
    main()
