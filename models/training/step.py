"""One step of training and one of validation, each traced once for a stage.

Without AutoGraph: nothing here needs it, Keras exports without it, and converting every
layer takes seconds.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import keras
import tensorflow as tf

from models.training.replicas import Replicas

# What an epoch adds up: loss and hits weighted by images, images, gradient norms, steps.
_SUMS = 5

# Gradients, the mean loss, hits and images.
_Differentiated = tuple[list, tf.Tensor, tf.Tensor, tf.Tensor]


class Figures(NamedTuple):
  """Means over the batches so far of an epoch."""

  loss: float
  accuracy: float
  gradient_norm: float


class TrainStep:
  """Forward, loss, backward and update on one batch.

  A loss that is not finite changes nothing: neither weights nor statistics nor
  optimizer, so that what was good before it stays good.
  """

  def __init__(
    self,
    forward: Callable[[tf.Tensor], tf.Tensor],
    model: keras.Model,
    loss: keras.losses.Loss,
    optimizer: keras.optimizers.Optimizer,
    inputs: tf.TensorSpec,
    classes: int,
    replicas: Replicas | None = None,
    batch_size: int = 1,
  ):
    """Prepares a step; nothing is traced before the first call.

    Args:
      forward: from a batch of inputs to logits float32 [N, K], in training mode.
      model: whose trainable variables the optimizer was built on.
      loss: of (labels float32 [N, K], logits).
      optimizer: with or without a LossScaleOptimizer around it.
      inputs: of a batch, with a first dimension of None.
      classes: K.
      replicas: those that share each batch; by default this device alone.
      batch_size: of all replicas; only they ask for it.
    """
    self._replicas = replicas or Replicas()
    self._batch_size = batch_size
    self._forward = forward
    self._variables = model.trainable_variables
    changed = {id(variable) for variable in self._variables}
    # BatchNorm's statistics and the states of random generators.
    self._others = [variable for variable in model.variables if id(variable) not in changed]
    self._loss = loss
    self._optimizer = optimizer
    self.sums = tf.Variable(tf.zeros([_SUMS], tf.float64), trainable=False, name='epoch_sums')
    self._call = tf.function(
      self._step,
      input_signature=[inputs, tf.TensorSpec([None, classes], tf.float32)],
      autograph=False,
    )

  def __call__(self, inputs: tf.Tensor, labels: tf.Tensor) -> bool:
    """Takes one step; returns False where the loss was not finite and nothing was changed."""
    return bool(self._call(inputs, labels))

  def figures(self) -> Figures:
    """Returns the means since the last reset."""
    loss, hits, images, norms, steps = (float(value) for value in self.sums.numpy())
    if not images:
      return Figures(float('nan'), float('nan'), float('nan'))
    return Figures(loss / images, hits / images, norms / max(steps, 1.0))

  def reset(self) -> None:
    """Begins an epoch."""
    self.sums.assign(tf.zeros([_SUMS], tf.float64))

  def _step(self, inputs: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    scaled = isinstance(self._optimizer, keras.optimizers.LossScaleOptimizer)
    others = [tf.identity(variable.value) for variable in self._others]
    differentiated = (
      self._differentiate_together if self._replicas.strategy else self._differentiate
    )
    gradients, loss, hits, images = differentiated(inputs, labels)
    norm = tf.linalg.global_norm([gradient for gradient in gradients if gradient is not None])
    if scaled:
      norm /= tf.convert_to_tensor(self._optimizer.dynamic_scale)
    good = tf.math.is_finite(loss)
    finite = tf.math.is_finite(norm)
    if scaled:
      # A gradient may overflow: the optimizer skips it and halves the scale. One that does so
      # without any scale is not finite by itself.
      finite |= tf.convert_to_tensor(self._optimizer.dynamic_scale) > 1.0
    good &= finite
    tf.cond(good, lambda: self._apply(gradients), lambda: self._undo(others))
    self._add(loss, hits, images, norm)
    return good

  def _differentiate(self, inputs: tf.Tensor, labels: tf.Tensor) -> _Differentiated:
    """Returns gradients, the mean loss, hits and images of a batch."""
    variables = [variable.value for variable in self._variables]
    with tf.GradientTape() as tape:
      logits = self._forward(inputs)
      loss = self._loss(labels, logits)
      scaled = isinstance(self._optimizer, keras.optimizers.LossScaleOptimizer)
      target = self._optimizer.scale_loss(loss) if scaled else loss
    gradients = tape.gradient(target, variables)
    return gradients, loss, _hits(labels, logits), tf.cast(tf.shape(labels)[0], tf.float64)

  def _differentiate_together(self, inputs: tf.Tensor, labels: tf.Tensor) -> _Differentiated:
    """The same of a batch that is shared; all of them get the same."""

    def one(inputs: tf.Tensor, labels: tf.Tensor, weight: tf.Tensor) -> list[tf.Tensor]:
      # A label of zeros stands where a worker has no row.
      counted = tf.cast(tf.reduce_any(labels > 0, axis=-1), tf.float32) * weight
      images = tf.reduce_sum(counted)
      variables = [variable.value for variable in self._variables]
      with tf.GradientTape() as tape:
        logits = self._forward(inputs)
        # Not the loss as a whole: on a replica Keras divides that by their number.
        losses = self._loss.call(labels, logits)
        loss = tf.reduce_sum(losses * counted) / self._batch_size
      gradients = tape.gradient(loss, variables)
      self._learnt = [gradient is not None for gradient in gradients]
      hits = tf.where(images > 0, _hits(labels, logits), 0.0)
      own = [loss, hits, images, *(one for one in gradients if one is not None)]
      return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, own)

    loss, hits, images, *reduced = self._replicas.run(one, inputs, labels)
    # The last batch of an epoch may be smaller than the others.
    factor = self._batch_size / images
    left = iter(reduced)
    gradients = [next(left) * factor if learnt else None for learnt in self._learnt]
    return gradients, loss * factor, hits, tf.cast(images, tf.float64)

  def _apply(self, gradients: list) -> bool:
    self._optimizer.apply(gradients, self._variables)
    return True

  def _undo(self, others: list[tf.Tensor]) -> bool:
    for variable, value in zip(self._others, others, strict=True):
      variable.assign(value)
    return False

  def _add(self, loss, hits, images, norm) -> None:
    counted = tf.math.is_finite(norm)
    self.sums.assign_add(
      tf.stack(
        [
          tf.cast(loss, tf.float64) * images,
          tf.cast(hits, tf.float64),
          images,
          tf.where(counted, tf.cast(norm, tf.float64), 0.0),
          tf.cast(counted, tf.float64),
        ]
      )
    )


class EvaluationStep:
  """Loss and hits of a batch in inference mode."""

  def __init__(
    self,
    forward: Callable[[tf.Tensor], tf.Tensor],
    loss: keras.losses.Loss,
    inputs: tf.TensorSpec,
    classes: int,
    replicas: Replicas | None = None,
  ):
    self._replicas = replicas or Replicas()
    self._forward = forward
    self._loss = loss
    self._call = tf.function(
      self._step,
      input_signature=[inputs, tf.TensorSpec([None, classes], tf.float32)],
      autograph=False,
    )

  def __call__(self, batches: Iterable) -> tuple[float, float]:
    """Returns the mean loss and the accuracy over batches; the same ones give the same bits.

    Of several workers each has batches of its own, and all get the means over all.
    """
    loss = hits = images = 0.0
    for inputs, labels in batches:
      batch_loss, batch_hits = self._call(inputs, labels)
      count = int(labels.shape[0])
      loss += float(batch_loss) * count
      hits += float(batch_hits)
      images += count
    loss, hits, images = self._replicas.sum([loss, hits, images])
    return loss / images, hits / images

  def _step(self, inputs: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    logits = self._forward(inputs)
    return self._loss(labels, logits), _hits(labels, logits)


def _hits(labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
  """Returns how many of a batch are right; of a mixed image its larger part counts."""
  right = tf.equal(tf.argmax(labels, axis=-1), tf.argmax(logits, axis=-1))
  return tf.reduce_sum(tf.cast(right, tf.float32))
