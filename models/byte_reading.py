"""Bytes of a string tensor as numbers, for walking through containers in the graph."""

from collections.abc import Callable

import tensorflow as tf

# One step of a walk: (position, number) to (next position, what was found); below 0 for
# nothing yet.
Step = Callable[[tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor]]


def bytes_at(data: tf.Tensor, position: tf.Tensor | int, count: int) -> tf.Tensor:
  """Returns data[position:position + count] as int32 [count]; zeros behind the end.

  Args:
    data: string [].
    position: int64 [], not negative.
    count: of bytes.
  """
  # substr refuses a position behind the end.
  start = tf.minimum(tf.cast(position, tf.int64), size_of(data))
  part = tf.strings.substr(data, start, tf.constant(count, tf.int64))
  return tf.cast(tf.io.decode_raw(part, tf.uint8, fixed_length=count), tf.int32)


def size_of(data: tf.Tensor) -> tf.Tensor:
  """Returns the number of bytes, int64 []."""
  return tf.cast(tf.strings.length(data), tf.int64)


def unsigned(values: tf.Tensor, little: tf.Tensor | bool) -> tf.Tensor:
  """Returns int32 [..., n] bytes as unsigned numbers, int64 [...].

  Args:
    values: 0..255, n of them a number, at most 4.
    little: bool [], whether the first byte weighs least.
  """
  weights = [256**power for power in range(values.shape[-1])]
  ordered = tf.where(little, weights, weights[::-1])
  return tf.reduce_sum(tf.cast(values, tf.int64) * tf.cast(ordered, tf.int64), axis=-1)


def is_equal(values: tf.Tensor, expected: bytes) -> tf.Tensor:
  """Says whether int32 [n] bytes are these: bool []."""
  return tf.reduce_all(values == list(expected))


def walk(step: Step, start: tf.Tensor | int, most: int) -> tuple[tf.Tensor, tf.Tensor]:
  """Walks until a step finds something.

  Args:
    step: takes (position int64 [], found int32 []) and returns both.
    start: first position.
    most: steps.

  Returns:
    The position and what was found there; below 0 where `most` steps found nothing.
  """
  return tf.while_loop(
    lambda _, found: found < 0,
    step,
    (tf.cast(start, tf.int64), tf.constant(-1)),
    maximum_iterations=most,
    parallel_iterations=1,
  )
