"""ONNX: how a network becomes its file, and how ONNX Runtime answers by it."""

import pathlib
from collections.abc import Callable

import numpy as np

from models.formats import packages
from models.formats.export_graph import PIXELS, Network
from schemas.errors import ExportError

FILE = 'model.onnx'
_PURPOSE = 'format onnx'
# Of 2022; every runtime in use reads it.
_OPSET = 17


def write(network: Network, folder: pathlib.Path) -> None:
  """Converts and writes model.onnx.

  Raises:
    ExportError: a package is not installed, or the graph cannot be converted.
  """
  converter = packages.load('tf2onnx', _PURPOSE)
  onnx = packages.load('onnx', _PURPOSE)
  try:
    model, _ = converter.convert.from_graph_def(
      network.graph,
      input_names=[f'{PIXELS}:0'],
      output_names=[f'{name}:0' for name in network.outputs],
      opset=_OPSET,
    )
  except (ValueError, RuntimeError, NotImplementedError) as error:
    raise ExportError(f'{_PURPOSE}: the network cannot be converted: {error}') from error
  _rename(model.graph, {f'{name}:0': name for name in (PIXELS, *network.outputs)})
  onnx.checker.check_model(model)
  onnx.save(model, str(folder / FILE))


def _rename(graph, names: dict[str, str]) -> None:
  """Takes TensorFlow's `:0` from the names that a caller sees."""
  for value in (*graph.input, *graph.output):
    value.name = names.get(value.name, value.name)
  for node in graph.node:
    node.input[:] = [names.get(name, name) for name in node.input]
    node.output[:] = [names.get(name, name) for name in node.output]


def load(folder: pathlib.Path) -> Callable[[np.ndarray], dict[str, np.ndarray]]:
  """Loads what `write` wrote; a function of pixels to outputs.

  Raises:
    ExportError: onnxruntime is not installed.
  """
  runtime = packages.load('onnxruntime', _PURPOSE)
  session = runtime.InferenceSession(str(folder / FILE), providers=['CPUExecutionProvider'])
  names = [output.name for output in session.get_outputs()]

  def answer(pixels: np.ndarray) -> dict[str, np.ndarray]:
    return dict(zip(names, session.run(names, {PIXELS: pixels}), strict=True))

  return answer
