"""Measures what components.serving_validator.stages takes apart, in the probe's process."""

import functools
import itertools
import time
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from models import decision as decisions
from models import decoder
from schemas import signatures
from schemas.config import ImageConfig
from schemas.errors import ExportError
from schemas.weights_hash import read_identity
from serving.servable import Servable

# Of camera-size photos hundreds of rounds would take minutes.
_LONGEST_SECONDS = 60.0
_FEWEST = 30


class StageClock:
  """One loaded export, and the product's own code for what it does around the network.

  The parts run in a session of their own, for the export offers no way in between. They
  are today's code with the settings that the export carries: of an export that other
  code wrote, the whole call alone is its own.

  Attributes:
    servable: the export.
  """

  def __init__(self, servable: Servable):
    """Builds the graphs.

    Raises:
      ExportError: the export does not say the size of its input or its labels.
    """
    self.servable = servable
    identity = read_identity(servable.path)
    try:
      image = ImageConfig.model_validate(identity['config']['image'])
      decision, labels = decisions.Decision.read(identity), identity['labels']
    except (KeyError, ValueError) as error:
      raise ExportError(
        f'{servable.path}: expected the settings of image and decision in '
        f'{signatures.IDENTITY_FILE}. Received: {error!r}. Export the model again.'
      ) from error
    score = np.array([0.5], np.float32)
    encoded = tf.TensorSpec([], tf.string)
    self._session = tf.compat.v1.Session(graph=tf.Graph())
    self._by_bytes = [
      # Of the pixels nothing is fetched: a server does not copy them to Python.
      self._part(part, encoded, fetched=False)
      for part in (
        tf.identity,
        decoder.decode,
        lambda one: decoder.decode_batch(one[tf.newaxis], image),
      )
    ]
    self._decide = self._part(
      lambda logits: decisions.answer(decision, logits, score, labels),
      tf.TensorSpec([1, len(labels)], tf.float32),
      fetched=True,
    )
    self._logits = np.linspace(-1, 1, len(labels), dtype=np.float32)[np.newaxis]

  def time(self, image: bytes) -> list[float]:
    """Returns one round in ms: the columns of components.serving_validator.stages."""
    batch = {signatures.IMAGE_BYTES: np.array([image], object)}
    calls: list[Callable[[], object]] = [
      lambda: self.servable.run(signatures.SERVING_DEFAULT, batch)
    ]
    calls += [functools.partial(call, image) for call in self._by_bytes]
    calls.append(lambda: self._decide(self._logits))
    return [_milliseconds(call) for call in calls]

  def _part(self, function: Callable, spec: tf.TensorSpec, fetched: bool) -> Callable:
    """Returns a call of one part.

    It is traced as an export is, for graphs of TensorFlow 1 compare
    otherwise, and apart from the other parts, whose checks its outputs would wait for.
    """
    traced = tf.function(function, input_signature=[spec], autograph=False)
    traced = traced.get_concrete_function().graph
    with self._session.graph.as_default():
      fed, *outputs = tf.graph_util.import_graph_def(
        traced.as_graph_def(),
        name='part',
        return_elements=[one.name for one in (*traced.inputs, *traced.outputs)],
      )
      fetches = outputs if fetched else [one.op for one in outputs]
      return self._session.make_callable(fetches, [fed])

  def close(self) -> None:
    """Frees the session of the parts, not that of the export."""
    self._session.close()


def rounds(clocks: Sequence[StageClock], images: Sequence[bytes], calls: int) -> list[np.ndarray]:
  """Times exports by turns, so that what disturbs the machine disturbs all of them.

  Args:
    clocks: of the exports; which goes first changes from round to round.
    images: encoded, each in its turn.
    calls: rounds that are measured, at most; after a minute those so far are enough.

  Returns:
    float64 [R, 5] in ms for each export, columns as in stages, all of the same R >= 1.
  """
  for clock in clocks:  # Each graph's first call optimises it.
    clock.time(images[0])
  found: list[list[list[float]]] = [[] for _ in clocks]
  began = time.perf_counter()
  for number, image in enumerate(itertools.islice(itertools.cycle(images), calls)):
    if number >= _FEWEST and time.perf_counter() - began > _LONGEST_SECONDS:
      break
    turn = range(len(clocks)) if number % 2 == 0 else reversed(range(len(clocks)))
    for place in turn:
      found[place].append(clocks[place].time(image))
  return [np.array(one) for one in found]


def _milliseconds(call: Callable[[], object]) -> float:
  started = time.perf_counter()
  call()
  return (time.perf_counter() - started) * 1e3
