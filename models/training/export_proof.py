"""Whether an export answers as the network that was trained, on images of val.

Evaluator and ServingValidator both read the export, so what is wrong inside it, both find
right. Here its answers are compared with another path: the one decoder, the trained
network, softmax in NumPy, and the names of Transform's vocabulary. The decoder itself,
which both paths share, is compared with Pillow.
"""

import dataclasses
import gc
import io
import pathlib
import time
from collections.abc import Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf
from PIL import Image, ImageOps

from models import decoder, proof, proof_writing
from models.decision import Decision
from models.records import Records, read_records
from models.training.preflight import Check
from schemas import features, signatures
from schemas.config import ImageConfig
from schemas.errors import ExportError

NAME = 'export'
IMAGES = 32
# Of a probability, between two orders of the same float32 sums.
LIMIT = 1e-4
# Two calls are equal to the bit on a CPU. A GPU may sum in another order; dropout and
# augmentation move answers by far more.
REPEAT_LIMIT = 1e-6
# Levels of 255, in the mean over an image: Pillow rounds twice when it resizes, JPEG decoders
# differ by little.
PIXEL_LIMIT = 4.0


@dataclasses.dataclass(frozen=True)
class Proof:
  """How far the export is from the trained network.

  Attributes:
    images: of val that were asked about.
    limit: of a probability; `by_bytes`, `by_records` and `alone` stay below it.
    by_bytes: largest difference of a probability, serving_default from the network.
    by_records: the same of serving_examples.
    repeated: largest difference between two equal calls.
    alone: largest difference between an image asked about alone and among others.
    pixels: largest mean difference of an image between the decoder and Pillow, of 255.
    seconds: that it took.
  """

  images: int
  limit: float
  by_bytes: float
  by_records: float
  repeated: float
  alone: float
  pixels: float
  seconds: float

  def check(self) -> Check:
    """Says it in a sentence, as the checks before the training do."""
    return Check(
      NAME,
      True,
      f'{self.images} images of val: answers differ from those of the trained network by '
      f'{max(self.by_bytes, self.by_records):.2g} of a probability at most (limit '
      f'{self.limit:g}), pixels from those of Pillow by {self.pixels:.2g} of 255 '
      f'({self.seconds:.1f} s).',
    )


@dataclasses.dataclass(frozen=True)
class _Image:
  name: str
  encoded: bytes
  record: bytes
  label: str


@dataclasses.dataclass(frozen=True)
class _Answered:
  """What an export says: of each signature the outputs by name."""

  by_bytes: dict[str, np.ndarray]
  again: dict[str, np.ndarray]
  alone: dict[str, np.ndarray]
  by_records: dict[str, np.ndarray]
  label_ids: np.ndarray


def prove(
  folder: pathlib.Path,
  model: keras.Model,
  decision: Decision,
  labels: Sequence[str],
  image: ImageConfig,
  val: Records,
  most: int = IMAGES,
) -> Proof:
  """Compares an export with the network that was trained.

  Args:
    folder: of the export.
    model: that was trained: float32 [N, height, width, 3], 0..255, to logits [N, K].
    decision: that was tuned for it.
    labels: the K names in the order of Transform's vocabulary.
    image: size and fit of the input.
    val: its records; the first ones are asked about.
    most: of them.

  Raises:
    ExportError: the export cannot be loaded, or answers otherwise.
  """
  began = time.monotonic()
  images = _read(val, most)
  names = [one.name for one in images]
  pixels = decoder.decode_batch(_strings([one.encoded for one in images]), image).numpy()
  difference = _against_pillow(images, pixels, image)
  logits = np.asarray(model(pixels, training=False), np.float64)
  expected = proof_writing.softmax(logits / decision.temperature)
  limit = proof.NARROW_LIMIT if proof_writing.is_narrow(model) else LIMIT
  answered = _ask(folder, images)
  first = answered.by_bytes
  repeated = _close(
    'two calls of serving_default with the same images',
    answered.again[signatures.PROBABILITIES],
    first[signatures.PROBABILITIES],
    names,
    REPEAT_LIMIT,
    'Something in the export draws by chance: take dropout and augmentation out of what it runs '
    '(training=False).',
  )
  alone = _close(
    'an image asked about alone and the same among others',
    answered.alone[signatures.PROBABILITIES],
    first[signatures.PROBABILITIES][:1],
    names,
    limit,
    'BatchNorm normalises by the batch: export the network with training=False.',
  )
  by_bytes, by_records = (
    _judge(signature, outputs, expected, labels, names, limit)
    for signature, outputs in (
      (signatures.SERVING_DEFAULT, first),
      (signatures.SERVING_EXAMPLES, answered.by_records),
    )
  )
  _judge_label_ids(answered.label_ids, images, labels)
  seconds = round(time.monotonic() - began, 2)
  return Proof(len(images), limit, by_bytes, by_records, repeated, alone, difference, seconds)


def _ask(folder: pathlib.Path, images: Sequence[_Image]) -> _Answered:
  """Loads the export, asks it, and lets go of it: nothing of it outlives this call."""
  try:
    return _answered(_load(folder), images)
  finally:
    # Its functions refer to each other, and would keep a second network in memory.
    gc.collect()


def _load(folder: pathlib.Path):
  try:
    loaded = tf.saved_model.load(str(folder))
  except (OSError, ValueError, tf.errors.OpError) as error:
    raise ExportError(
      f'{folder}: expected an export that can be loaded. Received: {error}. Export through '
      'keras.export.ExportArchive, and look at what build_fn of your own makes.'
    ) from error
  missing = [name for name in signatures.ALL if name not in loaded.signatures]
  if missing:
    raise ExportError(
      f'{folder}: expected the signatures {", ".join(signatures.ALL)}. Received: an export '
      f'without {", ".join(missing)}. Write it by models.export.export.'
    )
  return loaded


def _answered(loaded, images: Sequence[_Image]) -> _Answered:
  def call(name: str, key: str, values: Sequence[bytes]) -> dict[str, np.ndarray]:
    try:
      answered = loaded.signatures[name](**{key: _strings(values)})
    except tf.errors.OpError as error:
      raise ExportError(
        f'export: {name} cannot answer about images of val. Received: {error.message}. Look for '
        'an operation that the export lacks, or for another form of input.'
      ) from error
    return {output: value.numpy() for output, value in answered.items()}

  encoded = [one.encoded for one in images]
  records = [one.record for one in images]
  return _Answered(
    by_bytes=call(signatures.SERVING_DEFAULT, signatures.IMAGE_BYTES, encoded),
    again=call(signatures.SERVING_DEFAULT, signatures.IMAGE_BYTES, encoded),
    alone=call(signatures.SERVING_DEFAULT, signatures.IMAGE_BYTES, encoded[:1]),
    by_records=call(signatures.SERVING_EXAMPLES, signatures.EXAMPLES, records),
    label_ids=call(signatures.TRANSFORM_FEATURES, signatures.EXAMPLES, records)[features.LABEL_ID],
  )


def _strings(values: Sequence[bytes]) -> tf.Tensor:
  return tf.constant(list(values), tf.string)


def _read(val: Records, most: int) -> list[_Image]:
  found = []
  records = read_records(val.files).take(most).as_numpy_iterator()
  for number, record in enumerate(records):
    feature = tf.train.Example.FromString(record).features.feature
    values = {
      key: feature[key].bytes_list.value[0] if feature[key].bytes_list.value else b''
      for key in (features.IMAGE, features.IMAGE_ID, features.LABEL)
    }
    name = values[features.IMAGE_ID].decode() or f'number {number + 1} of val'
    found.append(
      _Image(name, values[features.IMAGE], record, values[features.LABEL].decode(errors='replace'))
    )
  return found


def _close(
  what: str,
  found: np.ndarray,
  expected: np.ndarray,
  names: Sequence[str],
  limit: float,
  next_step: str,
) -> float:
  """Returns the largest difference of a probability.

  Raises:
    ExportError: it is above the limit.
  """
  if found.shape != expected.shape:
    raise ExportError(
      f'export: {what}: expected probabilities {list(expected.shape)}. Received: '
      f'{list(found.shape)}. {next_step}'
    )
  by_image = np.abs(found - expected).max(axis=1)
  worst = int(np.argmax(by_image))
  # Not `>`: a probability that is no number is not close.
  if by_image[worst] <= limit:
    return float(by_image[worst])
  raise ExportError(
    f'export: {what} differ by {by_image[worst]:.3g} of a probability on image {names[worst]}; '
    f'expected: {limit:g} at most. {next_step}'
  )


def _judge(
  signature: str,
  answered: Mapping[str, np.ndarray],
  expected: np.ndarray,
  labels: Sequence[str],
  names: Sequence[str],
  limit: float,
) -> float:
  difference = _close(
    f'{signature} and the trained network',
    answered[signatures.PROBABILITIES],
    expected,
    names,
    limit,
    'Look for pixels that are normalised twice or whose channels are swapped on the way into the '
    'network, for a network in training mode, and for weights of another training.',
  )
  first_two = np.sort(expected, axis=1)[:, -2:]
  # Between two that are as likely, rounding decides.
  sure = first_two[:, 1] - first_two[:, 0] > 2 * limit
  for row, label in enumerate(answered[signatures.PREDICTED_LABEL]):
    said = answered[signatures.CLASS_ID][row]
    wanted = labels[int(expected[row].argmax() if sure[row] else said)]
    if label.decode() != wanted:
      raise ExportError(
        f'export: {signature} calls image {names[row]} {label.decode()!r}; expected: {wanted!r}, '
        "by the trained network and Transform's vocabulary. Give the export the labels in the "
        'order of the vocabulary.'
      )
  return difference


def _judge_label_ids(ids: np.ndarray, images: Sequence[_Image], labels: Sequence[str]) -> None:
  order = {label: number for number, label in enumerate(labels)}
  for found, one in zip(ids.reshape(-1).tolist(), images, strict=True):
    if one.label in order and found != order[one.label]:
      raise ExportError(
        f'export: {signatures.TRANSFORM_FEATURES} gives {one.label!r} of image {one.name} the id '
        f"{found}; expected: {order[one.label]}, by Transform's vocabulary. The export holds the "
        'graph of another Transform: train again.'
      )


def _against_pillow(images: Sequence[_Image], pixels: np.ndarray, image: ImageConfig) -> float:
  """Returns the largest mean difference of an image; see PIXEL_LIMIT."""
  found = [
    float(np.abs(ours - _by_pillow(one.encoded, image)).mean())
    for ours, one in zip(pixels, images, strict=True)
  ]
  worst = int(np.argmax(found))
  if found[worst] <= PIXEL_LIMIT:
    return found[worst]
  mine = pixels[worst].mean((0, 1))
  theirs = _by_pillow(images[worst].encoded, image).mean((0, 1))
  raise ExportError(
    f'export: the decoder differs from Pillow by {found[worst]:.3g} of 255 in the mean of image '
    f'{images[worst].name} (red, green, blue {_three(mine)} against {_three(theirs)}); expected: '
    f'{PIXEL_LIMIT:g} at most. models.decoder is to give RGB, 0..255, upright: look for swapped '
    'channels and for another scale.'
  )


def _by_pillow(encoded: bytes, image: ImageConfig) -> np.ndarray:
  """Decodes and fits an image as models.decoder is meant to, by another library."""
  with Image.open(io.BytesIO(encoded)) as opened:
    upright = ImageOps.exif_transpose(opened).convert('RGB')
  width, height = upright.size
  bilinear = Image.Resampling.BILINEAR
  size = (image.width, image.height)
  if image.fit == 'crop':
    share = image.crop_fraction * min(width / image.width, height / image.height)
    kept = [
      min(max(1, round(side * share)), whole)
      for side, whole in ((image.width, width), (image.height, height))
    ]
    left, top = (width - kept[0]) // 2, (height - kept[1]) // 2
    return _array(upright.resize(size, bilinear, (left, top, left + kept[0], top + kept[1])))
  if image.fit == 'squash':
    return _array(upright.resize(size, bilinear))
  share = min(image.width / width, image.height / height)
  inside = (
    min(max(1, round(width * share)), image.width),
    min(max(1, round(height * share)), image.height),
  )
  canvas = Image.new('RGB', size)
  place = ((image.width - inside[0]) // 2, (image.height - inside[1]) // 2)
  canvas.paste(upright.resize(inside, bilinear), place)
  return _array(canvas)


def _array(picture: Image.Image) -> np.ndarray:
  return np.asarray(picture, np.float32)


def _three(values: np.ndarray) -> str:
  return '(' + ', '.join(f'{float(value):.0f}' for value in values) + ')'
