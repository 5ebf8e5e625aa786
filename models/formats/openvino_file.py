"""OpenVINO: how a network becomes its file, and how the file answers."""

import pathlib
import queue
import tempfile
from typing import Any

import numpy as np

from models.formats import packages
from models.formats.export_graph import PIXELS, Network
from schemas.errors import ExportError

FILE = 'model.xml'  # its weights stand beside it, in model.bin
PACKAGE = 'openvino'
_PURPOSE = 'format openvino'
# One stream for one request: THROUGHPUT was slower at batch 1 and above. In float32, as
# evaluated: on processors that have bfloat16 OpenVINO would take that by itself.
_SETTINGS = {'PERFORMANCE_HINT': 'LATENCY', 'INFERENCE_PRECISION_HINT': 'f32'}


def convert(network: Network) -> Any:
  """Converts in memory.

  Returns:
    An openvino.Model whose input and outputs have the names of the network's.

  Raises:
    ExportError: OpenVINO is not installed, or cannot convert the graph.
  """
  openvino = packages.load(PACKAGE, _PURPOSE)
  with tempfile.TemporaryDirectory(prefix='graph-') as folder:
    path = pathlib.Path(folder, 'network.pb')
    path.write_bytes(network.graph.SerializeToString())
    try:
      model = openvino.convert_model(str(path))
    except RuntimeError as error:  # its own errors are kinds of it
      raise ExportError(f'{_PURPOSE}: the network cannot be converted: {error}') from error
  model.inputs[0].get_tensor().set_names({PIXELS})
  for output in model.outputs:
    name = next(one for one in network.outputs if f'{one}:0' in output.get_names())
    output.get_tensor().set_names({name})
  return model


def save(model: Any, folder: pathlib.Path) -> None:
  """Writes model.xml and model.bin, with the numbers as they are."""
  openvino = packages.load(PACKAGE, _PURPOSE)
  openvino.save_model(model, str(folder / FILE), compress_to_fp16=False)


def write(network: Network, folder: pathlib.Path) -> None:
  """Converts and writes; see `convert` and `save`."""
  save(convert(network), folder)


class Runner:
  """A compiled network, on the processor.

  May be called from many threads at once.
  """

  def __init__(self, model: Any):
    """Compiles it twice: for one image, which a fixed shape answers sooner, and for any number.

    Args:
      model: an openvino.Model, or the path of its model.xml.

    Raises:
      ExportError: OpenVINO is not installed, or cannot read or compile the model.
    """
    openvino = packages.load(PACKAGE, _PURPOSE)
    core = openvino.Core()
    try:
      if isinstance(model, pathlib.Path):
        model = core.read_model(str(model))
      self._many = _Compiled(core, model)
      single = model.clone()
      single.reshape({PIXELS: [1, *single.input(PIXELS).get_partial_shape()[1:]]})
      self._one = _Compiled(core, single)
    except RuntimeError as error:
      raise ExportError(f'{_PURPOSE}: the network cannot be compiled: {error}') from error
    self.outputs = self._many.outputs

  def __call__(self, pixels: np.ndarray) -> dict[str, np.ndarray]:
    """Answers a batch.

    Args:
      pixels: float32 [N, height, width, 3], RGB, 0..255.

    Returns:
      An array for each of `outputs`.
    """
    return (self._one if len(pixels) == 1 else self._many)(pixels)


class _Compiled:
  """A network for one shape of its input."""

  def __init__(self, core: Any, model: Any):
    self._model = core.compile_model(model, 'CPU', _SETTINGS)
    self.outputs = tuple(sorted(output.get_any_name() for output in self._model.outputs))
    # A request holds the memory of one call, so there are as many as calls at one time.
    self._idle: queue.LifoQueue = queue.LifoQueue()

  def __call__(self, pixels: np.ndarray) -> dict[str, np.ndarray]:
    try:
      request = self._idle.get_nowait()
    except queue.Empty:
      request = self._model.create_infer_request()
    try:
      request.infer({PIXELS: pixels})
      return {name: np.array(request.get_tensor(name).data) for name in self.outputs}
    finally:
      self._idle.put(request)


def load(folder: pathlib.Path) -> Runner:
  """Loads what `save` wrote."""
  return Runner(folder / FILE)
