"""OpenVINO: how a network becomes its file, and how the file answers."""

import pathlib
import queue
import tempfile
from collections.abc import Sequence
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
      self._many = _Compiled(core, model, _Request)
      single = model.clone()
      single.reshape({PIXELS: [1, *single.input(PIXELS).get_partial_shape()[1:]]})
      self._one = _Compiled(core, single, _RequestForOne)
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

  def __init__(self, core: Any, model: Any, kind: type['_Request']):
    self._model = core.compile_model(model, 'CPU', _SETTINGS)
    self._kind = kind
    self.outputs = tuple(sorted(output.get_any_name() for output in self._model.outputs))
    # A request holds the memory of one call, so there are as many as calls at one time.
    self._idle: queue.LifoQueue[_Request] = queue.LifoQueue()

  def __call__(self, pixels: np.ndarray) -> dict[str, np.ndarray]:
    try:
      request = self._idle.get_nowait()
    except queue.Empty:
      request = self._kind(self._model.create_infer_request(), self.outputs)
    try:
      return request(pixels)
    finally:
      self._idle.put(request)


class _Request:
  """The memory of one call."""

  def __init__(self, request: Any, outputs: Sequence[str]):
    self._request, self._outputs = request, outputs

  def __call__(self, pixels: np.ndarray) -> dict[str, np.ndarray]:
    self._request.infer({PIXELS: pixels}, share_inputs=True, share_outputs=True)
    return {name: np.array(self._request.get_tensor(name).data) for name in self._outputs}


class _RequestForOne(_Request):
  """The same where no shape changes: what is read and written is looked up once."""

  def __init__(self, request: Any, outputs: Sequence[str]):
    super().__init__(request, outputs)
    self._pixels = request.get_tensor(PIXELS).data
    self._answers = {name: request.get_tensor(name).data for name in outputs}

  def __call__(self, pixels: np.ndarray) -> dict[str, np.ndarray]:
    np.copyto(self._pixels, pixels)
    self._request.infer(share_outputs=True)
    return {name: np.array(answer) for name, answer in self._answers.items()}


def load(folder: pathlib.Path) -> Runner:
  """Loads what `save` wrote."""
  return Runner(folder / FILE)
