"""Builds the ONNX graph of all-MiniLM-L6-v2 from its weights, once a machine.

The network is BERT (Devlin et al. 2018) with 6 layers, 12 heads and 384 dimensions, then the mean of the token vectors
under the mask, then unit length, as Sentence-Transformers runs it. The graph uses onnxruntime's fused operators for
attention, skip connections and GELU, which its own optimiser would otherwise have to find.

In precision `int8` the products with weight matrices are of 8-bit integers: weights are rounded once, with a scale a
column, activations while it runs, with a scale a tensor (Zafrir et al. 2019, Q8BERT). Everything else stays float32.
Weights take 7 of the 8 bits: pairs of products then fit the 16-bit sums of x86 processors without VNNI, which would cut
them off, so that the same text would get another vector there.
"""

import os
import tempfile
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import load_file

from services.providers.embedding import weights

LAYERS: Final = 6
HEADS: Final = 12
DIMENSION: Final = 384
VERSION: Final = 1
"""Goes up when this module builds another graph from the same weights."""

_EPSILON: Final = 1e-12
_FUSED: Final = "com.microsoft"
_LARGEST: Final = 64

Array = NDArray[np.float32]
Precision = Literal["float32", "int8"]


def ensure(models: Path, precision: Precision) -> Path:
    """Path of the graph under `models`; builds it when it is not there.

    Safe with several processes at once: each builds into a file of its own and renames it.
    Raises WeightsError when the weights are missing or not the original, OSError when `models` can't be written.
    """
    kind = "" if precision == "float32" else f"-{precision}"
    path = models / f"all-minilm-l6-v2-{weights.SHA256[:12]}-v{VERSION}{kind}.onnx"
    if path.exists():
        return path
    models.mkdir(parents=True, exist_ok=True)
    serialized = build(weights.checked(weights.folder() / "model.safetensors"), precision).SerializeToString()
    handle, draft = tempfile.mkstemp(dir=models, prefix=path.name, suffix=".draft")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(serialized)
            file.flush()
            os.fsync(file.fileno())
        Path(draft).replace(path)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise
    return path


def build(safetensors: Path, precision: Precision) -> onnx.ModelProto:
    """The graph: `ids`, `mask` (int32, batch × tokens) → `embedding` (float32, batch × 384, unit length)."""
    builder = _Builder if precision == "float32" else _Int8Builder
    return builder(load_file(safetensors)).model()


class _Builder:
    def __init__(self, tensors: dict[str, Array]) -> None:
        self._tensors = tensors
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

    def model(self) -> onnx.ModelProto:
        hidden = self._embed()
        for layer in range(LAYERS):
            hidden = self._layer(f"encoder.layer.{layer}.", hidden)
        self._pool(hidden)
        shape = ["batch", "tokens"]
        graph = helper.make_graph(
            self._nodes,
            "all-minilm-l6-v2",
            [helper.make_tensor_value_info(name, TensorProto.INT32, shape) for name in ("ids", "mask")],
            [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["batch", DIMENSION])],
            self._constants,
        )
        opsets = [helper.make_opsetid("", 17), helper.make_opsetid(_FUSED, 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=8, producer_name="pergola")

    def _embed(self) -> str:
        # Segment 0 throughout: its row is added to every position once, here.
        positions = self._tensors["embeddings.position_embeddings.weight"]
        segments = self._tensors["embeddings.token_type_embeddings.weight"]
        words = self._weight("embeddings.word_embeddings.weight")
        places = self._constant("positions", positions + segments[0])
        length = self._node("Slice", [self._node("Shape", ["ids"]), *self._integers([1], [2])])
        rows = self._node("Slice", [places, *self._integers([0]), length])
        total = self._node("Add", [self._node("Gather", [words, "ids"]), rows])
        return self._normalize("embeddings.LayerNorm.", total)

    def _layer(self, prefix: str, hidden: str) -> str:
        parts = [f"{prefix}attention.self.{part}." for part in ("query", "key", "value")]
        weight = np.concatenate([self._tensors[p + "weight"].T for p in parts], axis=1)
        bias = self._constant(prefix + "qkv.bias", np.concatenate([self._tensors[p + "bias"] for p in parts]))
        attended = self._attention(prefix + "qkv", hidden, weight, bias)
        after = self._skip(prefix + "attention.output.", attended, hidden)
        inner = self._product(after, prefix + "intermediate.dense.weight")
        active = self._node("BiasGelu", [inner, self._weight(prefix + "intermediate.dense.bias")], domain=_FUSED)
        return self._skip(prefix + "output.", active, after)

    def _skip(self, prefix: str, value: str, around: str) -> str:
        """LayerNorm(dense(value) + around)."""
        dense = self._product(value, prefix + "dense.weight")
        parameters = [self._weight(prefix + name) for name in ("LayerNorm.weight", "LayerNorm.bias", "dense.bias")]
        return self._node("SkipLayerNormalization", [dense, around, *parameters], domain=_FUSED, epsilon=_EPSILON)

    def _normalize(self, prefix: str, value: str) -> str:
        parameters = [self._weight(prefix + "weight"), self._weight(prefix + "bias")]
        return self._node("LayerNormalization", [value, *parameters], axis=-1, epsilon=_EPSILON)

    def _pool(self, hidden: str) -> None:
        # The sum instead of the mean: the unit length that follows takes any factor away.
        mask = self._node("Cast", ["mask"], to=TensorProto.FLOAT)
        row = self._node("Unsqueeze", [mask, *self._integers([1])])
        total = self._node("Squeeze", [self._node("MatMul", [row, hidden]), *self._integers([1])])
        self._node("LpNormalization", [total], result="embedding", axis=1, p=2)

    def _product(self, value: str, name: str) -> str:
        """value × the weights of that name, transposed."""
        return self._node("MatMul", [value, self._constant(name, self._tensors[name].T)])

    def _attention(self, name: str, hidden: str, weight: Array, bias: str) -> str:
        inputs = [hidden, self._constant(name, weight), bias, "mask"]
        return self._node("Attention", inputs, domain=_FUSED, num_heads=HEADS)

    def _weight(self, name: str) -> str:
        return self._constant(name, self._tensors[name])

    def _constant(self, name: str, value: NDArray[Any]) -> str:
        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def _integers(self, *values: list[int]) -> list[str]:
        names = []
        for value in values:
            names.append(f"integers.{len(self._constants)}")
            self._constants.append(numpy_helper.from_array(np.array(value, np.int64), names[-1]))
        return names

    def _node(self, operator: str, inputs: list[str], *, result: str = "", domain: str = "", **attributes: Any) -> str:
        return self._nodes_of(operator, inputs, [result or f"{operator}.{len(self._nodes)}"], domain, **attributes)[0]

    def _nodes_of(
        self, operator: str, inputs: list[str], results: list[str], domain: str, **attributes: Any
    ) -> list[str]:
        self._nodes.append(helper.make_node(operator, inputs, results, domain=domain, **attributes))
        return results


class _Int8Builder(_Builder):
    def _product(self, value: str, name: str) -> str:
        rounded, scale, zero = self._rounded(name, self._tensors[name].T)
        return self._node("DynamicQuantizeMatMul", [value, rounded, scale, zero], domain=_FUSED)

    def _attention(self, name: str, hidden: str, weight: Array, bias: str) -> str:
        rounded, scale, zero = self._rounded(name, weight)
        parts = [f"{name}.{part}" for part in ("input", "input.scale", "input.zero")]
        value, value_scale, value_zero = self._nodes_of("DynamicQuantizeLinear", [hidden], parts, "")
        inputs = [value, rounded, bias, value_scale, scale, "mask", value_zero, zero]
        return self._node("QAttention", inputs, domain=_FUSED, num_heads=HEADS)

    def _rounded(self, name: str, weight: Array) -> tuple[str, str, str]:
        """Names of the weights in 8 bits, of the scales of their columns, and of what stands for zero."""
        scale = np.abs(weight).max(axis=0) / _LARGEST
        rounded = np.rint(weight / scale)
        return (
            self._constant(name, rounded.astype(np.int8)),
            self._constant(name + ".scale", scale.astype(np.float32)),
            self._constant(name + ".zero", np.zeros(scale.shape, np.int8)),
        )
