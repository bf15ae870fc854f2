"""Writes torch/: small networks of PyTorch, exported by torch.onnx.

    pip install torch==2.14.0 onnx==1.23.2 onnxscript==0.7.2 onnxruntime==1.31.1 numpy==2.4.6
    python torch_models.py

The weights are random but seeded: a network need not be good to be the same.
"""

import pathlib
import warnings

import numpy as np
import onnx
import torch
from torch import nn

import fixtures

OUT = pathlib.Path(__file__).parent / "torch"
warnings.filterwarnings("ignore")


class Residual(nn.Module):
    """A block of a residual network."""

    def __init__(self):
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU())
        self.second = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4))

    def forward(self, x):
        return torch.relu(x + self.second(self.first(x)))


class Two(nn.Module):
    """Two inputs and two outputs, put together by shape operators."""

    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(10, 4)
        self.dense = nn.Linear(11, 5)

    def forward(self, numbers, word):
        x = torch.cat([numbers, self.words(word).mean(dim=1)], dim=1)
        y = self.dense(x)
        return torch.softmax(y, dim=-1), torch.argmax(y, dim=-1)


class Attention(nn.Module):
    """One head of attention by hand: MatMul of stacks, Transpose, Softmax."""

    def __init__(self):
        super().__init__()
        self.q, self.k, self.v = nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 6)
        self.norm = nn.LayerNorm(6)

    def forward(self, x):
        weights = torch.softmax(self.q(x) @ self.k(x).transpose(1, 2) / 6**0.5, dim=-1)
        return self.norm(x + weights @ self.v(x))


def mlp(*sizes, activation=nn.ReLU, last=None):
    layers = []
    for i, (a, b) in enumerate(zip(sizes, sizes[1:])):
        layers += [nn.Linear(a, b)] + ([activation()] if i < len(sizes) - 2 else [])
    return nn.Sequential(*layers, *([last] if last else []))


def batch_norms(model, rng):
    """Gives them the statistics of a training that never was."""
    for module in model.modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            with torch.no_grad():
                module.running_mean.copy_(torch.tensor(rng.normal(size=module.num_features) * 0.3))
                module.running_var.copy_(torch.tensor(rng.uniform(0.5, 2, size=module.num_features)))


MODELS = {
    "mlp": (mlp(8, 16, 8, 3), [(5, 8)]),
    "mlp-softmax": (mlp(8, 16, 3, last=nn.Softmax(dim=1)), [(5, 8)]),
    "mlp-sigmoid": (mlp(8, 16, 1, activation=nn.Tanh, last=nn.Sigmoid()), [(5, 8)]),
    "mlp-gelu": (mlp(8, 16, 2, activation=nn.GELU), [(5, 8)]),
    "mlp-activations": (nn.Sequential(nn.Linear(6, 8), nn.LeakyReLU(0.1), nn.Linear(8, 8), nn.ELU(), nn.Linear(8, 8), nn.SiLU(), nn.Linear(8, 8), nn.Hardswish(), nn.Linear(8, 4), nn.Softplus(), nn.Linear(4, 4), nn.PReLU(), nn.Linear(4, 2), nn.LogSoftmax(dim=1)), [(4, 6)]),
    "mlp-normalized": (nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 8), nn.LayerNorm(8), nn.ReLU(), nn.Linear(8, 2)), [(4, 6)]),
    "cnn": (nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 8, 3, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(32, 10)), [(2, 1, 12, 12)]),
    "cnn-batch-norm": (nn.Sequential(nn.Conv2d(3, 4, 5, padding=2, groups=1), nn.BatchNorm2d(4), nn.ReLU6(), nn.AvgPool2d(2), nn.Conv2d(4, 4, 3, groups=4, dilation=2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)), [(2, 3, 14, 10)]),
    "cnn-residual": (nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), Residual(), nn.MaxPool2d(3, stride=2, padding=1), nn.Flatten(), nn.Linear(64, 4)), [(2, 1, 8, 8)]),
    "cnn-1d": (nn.Sequential(nn.Conv1d(2, 4, 3), nn.GroupNorm(2, 4), nn.ReLU(), nn.AvgPool1d(2), nn.Flatten(), nn.Linear(36, 2)), [(3, 2, 20)]),
    "cnn-transposed": (nn.Sequential(nn.ConvTranspose2d(2, 3, 3, stride=2, padding=1, output_padding=1), nn.InstanceNorm2d(3, affine=True), nn.ReLU(), nn.ZeroPad2d(1), nn.PixelUnshuffle(2)), [(1, 2, 4, 4)]),
    "attention": (Attention(), [(2, 5, 6)]),
    "two-inputs": (Two(), [(3, 7), (3, 2)]),
}


def main():
    OUT.mkdir(exist_ok=True)
    for old in OUT.iterdir():
        old.unlink()
    for i, (name, (model, shapes)) in enumerate(MODELS.items()):
        torch.manual_seed(i)
        rng = np.random.default_rng(i)
        for module in model.modules():
            if hasattr(module, "reset_parameters"):
                module.reset_parameters()
        batch_norms(model, rng)
        model.eval()
        inputs = [torch.tensor(rng.normal(size=s).astype(np.float32)) for s in shapes]
        if name == "two-inputs":
            inputs[1] = torch.tensor(rng.integers(0, 10, size=shapes[1]))
        names = ["x", "word"][: len(inputs)]
        batch = torch.export.Dim("batch")
        program = torch.onnx.export(
            model, tuple(inputs), dynamo=True, input_names=names, dynamic_shapes=tuple({0: batch} for _ in inputs), verbose=False,
        )
        with torch.no_grad():
            answers = model(*inputs)
        answers = answers if isinstance(answers, tuple) else (answers,)
        proto = program.model_proto
        for node in proto.graph.node:  # where in the script a node came from
            del node.metadata_props[:]
            node.doc_string = ""
        del proto.graph.value_info[:], proto.graph.metadata_props[:]
        original = {o.name: a.numpy() for o, a in zip(proto.graph.output, answers)}
        fixtures.write(OUT / name, proto, dict(zip(names, [t.numpy() for t in inputs])), original, torch=torch.__version__)


if __name__ == "__main__":
    main()
