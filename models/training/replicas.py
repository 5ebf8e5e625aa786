"""Who trains together: the devices of one machine, or those of several.

Each replica holds a copy of the network and takes its share of every batch; gradients are
added up before the one update that all of them make. What only one may do (write
checkpoints, measure, export) is the chief's.
"""

import contextlib
import dataclasses
import json
import logging
import pathlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from schemas.config import TrainConfig
from schemas.errors import TrainingError

# What TensorFlow raises where another worker is gone, or does not answer.
_GONE = (
  tf.errors.AbortedError,
  tf.errors.CancelledError,
  tf.errors.DeadlineExceededError,
  tf.errors.FailedPreconditionError,
  tf.errors.InternalError,
  tf.errors.UnavailableError,
)

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Share:
  """One worker's part of every batch.

  Attributes:
    worker: 0 .. workers - 1.
    workers: 1 takes whole batches.
  """

  worker: int = 0
  workers: int = 1

  def of_batch(self, rows: tf.Tensor | int) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns first and last-but-one row: [n w / W, n (w + 1) / W); maybe none."""
    return rows * self.worker // self.workers, rows * (self.worker + 1) // self.workers

  def of_steps(self, steps: int) -> int:
    """Returns how many of so many batches are this worker's, where it takes each W-th."""
    return max(-(-(steps - self.worker) // self.workers), 0)


class Replicas:
  """Those that train together; by default one device alone, without any strategy."""

  def __init__(self, strategy: tf.distribute.Strategy | None = None, share: Share | None = None):
    """Takes a strategy, and which of its workers this process is."""
    self.strategy = strategy
    self.share = share or Share()

  @property
  def count(self) -> int:
    """Devices, over all workers."""
    return self.strategy.num_replicas_in_sync if self.strategy else 1

  @property
  def is_chief(self) -> bool:
    """Whether this process writes what is kept."""
    return self.share.worker == 0

  def scope(self) -> contextlib.AbstractContextManager:
    """Returns where variables are made that every replica has."""
    return self.strategy.scope() if self.strategy else contextlib.nullcontext()

  def run(self, call: Callable, *inputs: Any) -> Any:
    """Calls it on each replica with its rows of this worker's batch; traced in a function.

    Args:
      call: from inputs and a weight, float32 [], to tensors that are the same on all replicas.
        The weight is 0 where there were fewer rows than replicas: a row then stands in for none.
      inputs: tensors of one first dimension, at least 1.
    """
    assert self.strategy is not None
    here = self.count // self.share.workers

    def one() -> Any:
      place = tf.distribute.get_replica_context().replica_id_in_sync_group % here
      rows = tf.shape(inputs[0])[0]
      first, end = rows * place // here, rows * (place + 1) // here
      # By the host: a device is sent its own rows alone.
      with tf.device('CPU:0'):
        own = [part[first : tf.maximum(end, first + 1)] for part in inputs]
      return call(*own, tf.cast(end > first, tf.float32))

    results = self.strategy.run(one)
    return tf.nest.map_structure(
      lambda one: self.strategy.experimental_local_results(one)[0], results
    )

  def sum(self, values: Sequence[float]) -> list[float]:
    """Returns the sums over all workers."""
    if self.share.workers == 1:
      return list(values)
    return [float(one) for one in self._sum(tf.constant(values, tf.float64)).numpy()]

  def from_chief(self, make: Callable[[], Any]) -> Any:
    """Returns what the chief makes of it, a JSON value; the others wait for it."""
    if self.share.workers == 1:
      return make()
    text = json.dumps(make()).encode() if self.is_chief else b''
    length = int(self._sum(tf.constant(len(text), tf.int64)))
    data: np.ndarray = np.zeros(length, np.int64)
    if self.is_chief:
      data[:] = np.frombuffer(text, np.uint8)
    return json.loads(self._sum(tf.constant(data)).numpy().astype(np.uint8).tobytes())

  def expect_same(self, what: str, value: Any) -> None:
    """Compares a JSON value with the chief's.

    Raises:
      TrainingError: it differs; no worker may go on then.
    """
    chiefs = self.from_chief(lambda: value)
    differ = self.sum([float(chiefs != json.loads(json.dumps(value)))])[0]
    if differ:
      raise TrainingError(
        f'{what}: expected the same on all {self.share.workers} workers. Received: {value} on '
        f'worker {self.share.worker}, {chiefs} on worker 0; {differ:.0f} differ from it. '
        'Next: one config, one run root that all of them see, one image.'
      )

  def level(self, model: keras.Model) -> None:
    """Gives every replica the mean of all for what each has of its own: BatchNorm's statistics."""
    if not self.strategy:
      return
    own = [one.value for one in model.non_trainable_variables if one.dtype.startswith('float')]
    if not own:
      return

    def mean() -> list[tf.Tensor]:
      context = tf.distribute.get_replica_context()
      return context.all_reduce(tf.distribute.ReduceOp.MEAN, [one.read_value() for one in own])

    traced = tf.function(lambda: self.strategy.run(mean), autograph=False)
    for variable, value in zip(own, traced(), strict=True):
      variable.assign(self.strategy.experimental_local_results(value)[0])

  def part_seeds(self, model: keras.Model) -> None:
    """Gives each replica a seed of its own for dropout; the first keeps the model's."""
    if self.count == 1:
      return
    assert self.strategy is not None
    for variable in model.non_trainable_variables:
      if variable.dtype.startswith('uint'):
        for number, copy in enumerate(self.strategy.experimental_local_results(variable.value)):
          place = self.share.worker * (self.count // self.share.workers) + number
          copy.assign(copy + tf.constant([place, 0], copy.dtype))

  @contextlib.contextmanager
  def noticing_loss(self, folder: pathlib.Path) -> Iterator[None]:
    """Says what is to be done where another worker is gone.

    Args:
      folder: of the checkpoints.

    Raises:
      TrainingError: one is.
    """
    try:
      yield
    except _GONE as error:
      if self.share.workers == 1:
        raise
      said = (str(error).strip().splitlines() or [''])[0]
      raise TrainingError(
        f'worker {self.share.worker} of {self.share.workers}: another worker of this training is '
        f'gone or out of reach. Received: {type(error).__name__}: {said}. Start all of them '
        f'again: training goes on at the last checkpoint in {folder}.'
      ) from error

  def _sum(self, value: tf.Tensor) -> tf.Tensor:
    """Adds up one value a worker."""
    assert self.strategy is not None
    here = self.count // self.share.workers

    def one() -> tf.Tensor:
      context = tf.distribute.get_replica_context()
      first = tf.cast(context.replica_id_in_sync_group % here == 0, value.dtype)
      return context.all_reduce(tf.distribute.ReduceOp.SUM, value * first)

    results = tf.function(lambda: self.strategy.run(one), autograph=False)()
    return self.strategy.experimental_local_results(results)[0]


def join(train: TrainConfig) -> Replicas:
  """Returns those that train together, as train.strategy says.

  For multi_worker it waits for all of TF_CONFIG, and must come before anything else is done
  with TensorFlow in this process.

  Raises:
    TrainingError: there is no cluster to join, or a batch is smaller than it.
  """
  if train.strategy == 'none':
    return Replicas()
  made = _mirrored() if train.strategy == 'mirrored' else _multi_worker()
  if train.batch_size < made.count:
    raise TrainingError(
      f'train.batch_size: expected at least one image for each of {made.count} replicas; it is '
      f'the batch of all of them. Received: {train.batch_size}.'
    )
  return made


def _mirrored() -> Replicas:
  devices = tf.config.list_logical_devices('GPU') or tf.config.list_logical_devices('CPU')
  if len(devices) == 1:
    _log.warning('train.strategy: mirrored: this machine has one device (%s)', devices[0].name)
  return Replicas(tf.distribute.MirroredStrategy([device.name for device in devices]))


def _multi_worker() -> Replicas:
  strategy = tf.distribute.MultiWorkerMirroredStrategy()
  resolver = strategy.cluster_resolver
  workers = resolver.cluster_spec().as_dict().get('worker', [])
  if not workers or resolver.task_type != 'worker':
    raise TrainingError(
      'train.strategy: multi_worker: expected TF_CONFIG with the addresses of all workers, this '
      f'process being one of them. Received: {resolver.cluster_spec().as_dict() or "none"}. '
      'Next: start the workers by python -m pipeline.training_job (deploy/kubernetes/training).'
    )
  return Replicas(strategy, Share(resolver.task_id, len(workers)))
