"""LiteRT, once TensorFlow Lite: how a network becomes its file, and how the file answers."""

import pathlib
import warnings
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from models.formats.export_graph import PIXELS, Network
from schemas.errors import ExportError

FILE = 'model.tflite'


def write(network: Network, folder: pathlib.Path) -> None:
  """Converts and writes model.tflite, with one signature.

  Raises:
    ExportError: the graph cannot be converted.
  """
  function = network.function()

  class Module(tf.Module):
    @tf.function(
      input_signature=[tf.TensorSpec([None, network.height, network.width, 3], tf.float32, PIXELS)],
      autograph=False,
    )
    def answer(self, pixels):
      return dict(zip(network.outputs, function(pixels), strict=True))

  module = Module()
  converter = tf.lite.TFLiteConverter.from_concrete_functions(
    [module.answer.get_concrete_function()], module
  )
  try:
    model = converter.convert()
  except (ValueError, RuntimeError, tf.lite.ConverterError) as error:
    raise ExportError(f'format litert: the network cannot be converted: {error}') from error
  (folder / FILE).write_bytes(model)


def load(folder: pathlib.Path) -> Callable[[np.ndarray], dict[str, np.ndarray]]:
  """Loads what `write` wrote; a function of pixels to outputs, for one thread."""
  with warnings.catch_warnings():
    # TensorFlow's own interpreter is to go; the package ai-edge-litert has the same one.
    warnings.simplefilter('ignore', UserWarning)
    interpreter = tf.lite.Interpreter(model_path=str(folder / FILE))
  runner = interpreter.get_signature_runner()
  return lambda pixels: dict(runner(**{PIXELS: pixels}))
