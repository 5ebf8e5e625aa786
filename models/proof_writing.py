"""Makes the proof that an export carries: what training sees of each image, and answers.

Of the export itself nothing is asked: the tensors come from a pipeline of tf.data, as
training's do, and the answers from the network that was trained.
"""

import itertools
import pathlib
from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf

from models import decoder, golden_images, image_file, proof
from models.decision import Decision
from schemas.config import ImageConfig
from schemas.errors import ExportError
from schemas.weights_hash import weights_sha256

# Pixels that the network is asked about at once: 20 images of 224x224.
_PIXELS_TOGETHER = 1 << 20


def write(
  export: pathlib.Path,
  network: Callable[[tf.Tensor], tf.Tensor],
  decision: Decision,
  image: ImageConfig,
  limit: float = proof.LIMIT,
) -> None:
  """Writes the proof of an export, once its variables are written.

  Args:
    export: its folder.
    network: that was trained: float32 [N, height, width, 3], 0..255, to logits [N, K].
    decision: that was tuned for it.
    image: size and fit of the input.
    limit: of a difference of a probability.

  Raises:
    ExportError: the decoder of this machine does not take an image that it should, or
      takes one that it should not.
  """
  images = golden_images.make()
  taken = [one for one in images if one.outcome != golden_images.REFUSED]
  pixels = _tensors([image_file.prepare(one.encoded).encoded for one in taken], image)
  _check_refused([one for one in images if one.outcome == golden_images.REFUSED], image)
  probabilities = softmax(_logits(network, pixels) / decision.temperature)
  goldens = [
    proof.Golden(one, proof.tensor_sha256(tensor), tuple(row.tolist()))
    for one, tensor, row in zip(taken, pixels, probabilities.astype(np.float32), strict=True)
  ]
  goldens += [proof.Golden(one, '', ()) for one in images if one.outcome == golden_images.REFUSED]
  proof.write(export, proof.Proof(weights_sha256(export), limit, tuple(goldens)))


def softmax(logits: np.ndarray) -> np.ndarray:
  """Returns probabilities [N, K] of logits [N, K], as no graph computes them."""
  raised = np.exp(logits - logits.max(axis=1, keepdims=True))
  return raised / raised.sum(axis=1, keepdims=True)


def is_narrow(model: keras.Model) -> bool:
  """Says whether layers of a network compute in fewer bits than float32."""
  layers = itertools.chain(model.layers, *(getattr(one, 'layers', ()) for one in model.layers))
  return any(layer.compute_dtype in ('bfloat16', 'float16') for layer in layers)


def _tensors(encoded: Sequence[bytes], image: ImageConfig) -> np.ndarray:
  """Returns what training sees of prepared images: float32 [N, height, width, 3]."""
  records = tf.data.Dataset.from_tensor_slices(tf.constant(list(encoded), tf.string))
  decoded = records.map(lambda one: decoder.decode_and_resize(one, image))
  try:
    return np.stack(list(decoded.as_numpy_iterator()))
  except tf.errors.OpError as error:
    raise ExportError(
      'proof: expected models.decoder to take every image that models.golden_images makes for it. '
      f'Received: {error.message}. Look at what was changed in the decoder.'
    ) from error


def _check_refused(images: Sequence[golden_images.GoldenImage], image: ImageConfig) -> None:
  for one in images:
    try:
      decoder.decode_and_resize(tf.constant(one.encoded), image)
    except tf.errors.InvalidArgumentError:
      continue
    raise ExportError(
      f'proof: expected models.decoder to refuse {one.name}. Received: a picture. Look at what '
      'was changed in the decoder.'
    )


def _logits(network: Callable[[tf.Tensor], tf.Tensor], pixels: np.ndarray) -> np.ndarray:
  together = max(1, _PIXELS_TOGETHER // (pixels.shape[1] * pixels.shape[2]))
  # A GPU may round a product to 11 bits; most servers have none.
  with tf.device('/CPU:0'):
    parts = [
      np.asarray(network(tf.constant(pixels[start : start + together])), np.float64)
      for start in range(0, len(pixels), together)
    ]
  return np.concatenate(parts)
