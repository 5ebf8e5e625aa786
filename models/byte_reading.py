"""Bytes of a string tensor as numbers, for walking through containers in the graph.

Every operation here is run for each image, and counts when a graph is prepared
for tf.data: hence int32 throughout, and few of them.
"""

from collections.abc import Callable

import tensorflow as tf

# One step of a walk: (position, found) to (next position, found); below 0 for
# nothing yet. All are int32 [].
Step = Callable[[tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor]]


def bytes_at(data: tf.Tensor, position: tf.Tensor | int, count: int) -> tf.Tensor:
  """Returns data[position:position + count] as int32 [count]; zeros behind the end.

  Args:
    data: string [].
    position: int32 [], not negative.
    count: of bytes.
  """
  part = _part(data, position, count)
  return tf.cast(tf.io.decode_raw(part, tf.uint8, fixed_length=count), tf.int32)


def words_at(data: tf.Tensor, position: tf.Tensor | int, count: int) -> tf.Tensor:
  """Returns `count` numbers of two bytes each, the first one weighing more: int32 [count]."""
  part = _part(data, position, 2 * count)
  words = tf.io.decode_raw(part, tf.uint16, little_endian=False, fixed_length=2 * count)
  return tf.cast(words, tf.int32)


def is_equal(values: tf.Tensor, expected: bytes) -> tf.Tensor:
  """Says whether int32 [n] bytes are these: bool []."""
  return tf.reduce_all(values == list(expected))


def walk(step: Step, start: int, most: int) -> tuple[tf.Tensor, tf.Tensor]:
  """Walks until a step finds something.

  Args:
    step: see Step.
    start: first position.
    most: steps.

  Returns:
    The position and what was found there; below 0 where `most` steps found nothing.
  """
  return tf.while_loop(
    lambda _, found: found < 0,
    step,
    (tf.constant(start), tf.constant(-1)),
    maximum_iterations=most,
    parallel_iterations=1,
  )


def _part(data: tf.Tensor, position: tf.Tensor | int, count: int) -> tf.Tensor:
  # substr refuses a position behind the end.
  return tf.strings.substr(data, tf.minimum(position, tf.strings.length(data)), count)
