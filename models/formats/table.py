"""The formats by their names on the command line."""

import dataclasses
import pathlib
from collections.abc import Callable

import numpy as np

from models.formats import litert_file, onnx_file, openvino_file
from models.formats.export_graph import Network
from schemas.errors import ConfigError

Runner = Callable[[np.ndarray], dict[str, np.ndarray]]


@dataclasses.dataclass(frozen=True)
class Format:
  """One row.

  Attributes:
    file: the model in its folder.
    packages: distributions whose versions are recorded with it.
    write: writes a network into a folder.
    load: makes of such a folder a function: pixels float32 [N, height, width, 3] to outputs.
  """

  file: str
  packages: tuple[str, ...]
  write: Callable[[Network, pathlib.Path], None]
  load: Callable[[pathlib.Path], Runner]


OPENVINO = 'openvino'
FORMATS: dict[str, Format] = {
  'litert': Format(litert_file.FILE, ('tensorflow',), litert_file.write, litert_file.load),
  'onnx': Format(
    onnx_file.FILE, ('onnx', 'tf2onnx', 'onnxruntime'), onnx_file.write, onnx_file.load
  ),
  OPENVINO: Format(openvino_file.FILE, ('openvino',), openvino_file.write, openvino_file.load),
}


def find(name: str) -> Format:
  """Returns a row.

  Raises:
    ConfigError: there is no such format.
  """
  if name not in FORMATS:
    raise ConfigError(f'--format: expected one of {", ".join(FORMATS)}. Received: {name}.')
  return FORMATS[name]
