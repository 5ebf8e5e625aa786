"""Eight-bit weights and activations for OpenVINO, calibrated on images of train."""

import logging
from typing import Any

import numpy as np

from models.formats import packages
from schemas.errors import ExportError

PACKAGE = 'nncf'
_CONVOLUTIONS = ('Convolution', 'GroupConvolution')


def quantize(model: Any, pixels: np.ndarray) -> Any:
  """Quantises the convolutions and what lies between them.

  What follows the last of them (pooling, the dense layers, temperature, ood_score) stays in
  float32: it costs nothing, and its numbers span orders of magnitude.

  Args:
    model: an openvino.Model as models.formats.openvino_file.convert makes it; left as it is.
    pixels: float32 [N, height, width, 3], images such as those of train.

  Returns:
    Another openvino.Model.

  Raises:
    ExportError: NNCF is not installed, or there is no convolution or no image.
  """
  nncf = packages.load(PACKAGE, '--int8')
  if not len(pixels):
    raise ExportError('--int8: expected images of train to calibrate with. Received: none.')
  logging.getLogger(PACKAGE).setLevel(logging.WARNING)
  return nncf.quantize(
    model.clone(),
    nncf.Dataset([image[np.newaxis] for image in pixels]),
    # Activations with negative values, such as EfficientNet's swish, want both signs.
    preset=nncf.QuantizationPreset.MIXED,
    subset_size=len(pixels),
    ignored_scope=nncf.IgnoredScope(names=_tail(model), validate=False),
  )


def _tail(model: Any) -> list[str]:
  """Returns the names of the operations that no convolution comes after."""
  waiting = [one for one in model.get_ops() if one.get_type_name() in _CONVOLUTIONS]
  if not waiting:
    raise ExportError('--int8: expected a network with convolutions. Received: one without.')
  body: set[str] = set()
  while waiting:
    operation = waiting.pop()
    if operation.get_friendly_name() not in body:
      body.add(operation.get_friendly_name())
      waiting += [one.get_source_output().get_node() for one in operation.inputs()]
  return sorted(
    one.get_friendly_name()
    for one in model.get_ops()
    if one.get_friendly_name() not in body
    and one.get_type_name() not in ('Constant', 'Parameter', 'Result')
  )
