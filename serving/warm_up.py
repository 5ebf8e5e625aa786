"""The first call of each signature, made before a version is put in service.

TensorFlow optimises a graph at its first call, which takes 37 to 64 times as
long as a later one.
"""

import base64
import logging

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2

from schemas import features, signatures
from serving import warm_up_requests
from serving.servable import Servable, numpy_dtype

_LOG = logging.getLogger(__name__)

# A PNG of 3x2 pixels, red, green and blue.
_PNG = base64.b64decode(
  'iVBORw0KGgoAAAANSUhEUgAAAAMAAAACCAIAAAASFvFNAAAAFklEQVR4nGP4z8DA8J+BgeE/EwMMAAAs+wMA'
  'nNzY2gAAAABJRU5ErkJggg=='
)


def warm_up(servable: Servable) -> None:
  """Replays the requests that the export brings; calls what else there is with made-up values.

  Raises:
    ExportError: the export's own requests cannot be read.
    ServingError: it does not answer one of them.
    tf.errors.OpError: likewise, or a signature cannot run at all. A refusal of the
      made-up values themselves is no failure.
  """
  replayed = warm_up_requests.replay(servable)
  _LOG.info('%d requests of the export were replayed.', replayed)
  for name, signature in servable.signatures.items():
    inputs = {key: _made_up(key, info) for key, info in signature.inputs.items()}
    try:
      servable.run(name, inputs)
    except tf.errors.InvalidArgumentError as error:
      _LOG.info('%s stays cold, it refuses the made-up values: %s', name, error.message)


def _made_up(key: str, info: meta_graph_pb2.TensorInfo) -> np.ndarray:
  shape = [max(dimension.size, 1) for dimension in info.tensor_shape.dim]
  dtype = numpy_dtype(info)
  if dtype.kind != 'O':
    return np.zeros(shape, dtype)
  value = {signatures.IMAGE_BYTES: _PNG, signatures.EXAMPLES: _example()}.get(key, b'')
  return np.full(shape, value, object)


def _example() -> bytes:
  image = tf.train.Feature(bytes_list=tf.train.BytesList(value=[_PNG]))
  return tf.train.Example(
    features=tf.train.Features(feature={features.IMAGE: image})
  ).SerializeToString()
