"""Writes node-tests.zip, the official tests of single operators, and versions.txt,
the opsets in which the standard has changed each of them.

    pip install onnx==1.23.2 && python node_tests.py

The tests are those of the ONNX project (onnx.backend.test, Apache-2.0): for each
a model of one node, or of the nodes that a function of the standard is expanded
to, with inputs and outputs. Those whose operators the Go package knows by name
are kept (operators.txt, which TestOperatorsFile holds against the code); the archive
has `<test>/model.onnx`, `<test>/input_<n>.pb` and `<test>/output_<n>.pb`. Nothing
is left out for its types or attributes: what the Go package refuses of these, it
has to refuse by name. Only tests of more than 85 kB are left out, all of which have
smaller brothers.
"""

import pathlib
import zipfile

import onnx
import onnx.defs
from onnx import numpy_helper
from onnx.backend.test.case.node import collect_testcases

HERE = pathlib.Path(__file__).parent
KNOWN = set((HERE / "operators.txt").read_text().split())
LARGE = 85_000
EPOCH = (2020, 1, 1, 0, 0, 0)


def tensor(value, kind, name):
    """The value as a TensorProto; None if it is no tensor."""
    if isinstance(value, onnx.TensorProto):
        value.name = name
        return value
    if kind.WhichOneof("value") != "tensor_type" or isinstance(value, (list, dict)):
        return None
    return numpy_helper.from_array(value, name)


def main():
    kept = 0
    with zipfile.ZipFile(HERE / "node-tests.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        def put(path, message):
            info = zipfile.ZipInfo(path, EPOCH)
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, message.SerializeToString(deterministic=True))

        for case in sorted(collect_testcases(None), key=lambda c: c.name):
            model = case.model
            names = {f"{n.domain}.{n.op_type}" for n in model.graph.node}
            if not names <= KNOWN or len(case.data_sets) != 1:
                continue
            inputs, outputs = case.data_sets[0]
            files = {}
            for kind, values, infos in (("input", inputs, model.graph.input), ("output", outputs, model.graph.output)):
                for i, (value, info) in enumerate(zip(values, infos, strict=False)):
                    files[f"{case.name}/{kind}_{i}.pb"] = tensor(value, info.type, info.name)
            if None in files.values():
                print("not tensors:", case.name)
                continue
            size = sum(m.ByteSize() for m in [model, *files.values()])
            if size > LARGE:
                print("large:", case.name, size)
                continue
            model.producer_name = "backend-test"
            put(f"{case.name}/model.onnx", model)
            for path, message in files.items():
                put(path, message)
            kept += 1
    print(kept, "tests with onnx", onnx.__version__)
    versions = {}
    for schema in onnx.defs.get_all_schemas_with_history():
        versions.setdefault(f"{schema.domain}.{schema.name}", []).append(schema.since_version)
    lines = [" ".join([name, *map(str, sorted(versions[name]))]) for name in sorted(KNOWN)]
    (HERE / "versions.txt").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
