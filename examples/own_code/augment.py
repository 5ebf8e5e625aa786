"""An augmentation of your own: a grey box hides a part of each image.

In the config:

  augment:
    fn: own_code.augment.hide_a_box
    reasons:
      fn: a price tag hides as much of a vegetable, and it stays what it is

Python must find the package: PYTHONPATH=examples sightline run my.yaml

(Zhong et al., 2020, Random Erasing.)
"""

import tensorflow as tf

SMALLEST, LARGEST = 0.1, 0.4
GREY = 128.0


def hide_a_box(
  pixels: tf.Tensor, labels: tf.Tensor, seed: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
  """Paints a grey box over each image, at a place and of a size drawn for it.

  Sightline calls it last, on each training batch, as TensorFlow code inside a graph.
  All that is random comes from `seed`, so that a run can be repeated.

  Args:
    pixels: float32 [N, H, W, 3], 0..255.
    labels: float32 [N, K], each row sums to 1.
    seed: int64 [2], another for each batch.

  Returns:
    The pixels with their boxes, and the labels as they were.
  """
  of_size, of_place = tf.unstack(tf.random.experimental.stateless_split(seed, 2), num=2)
  # Height and width of the box, and then its top and left, as shares of the sides.
  size = tf.random.stateless_uniform([tf.shape(pixels)[0], 2], of_size, SMALLEST, LARGEST)
  place = tf.random.stateless_uniform(tf.shape(size), of_place) * (1.0 - size)
  inside_rows = _inside(tf.shape(pixels)[1], place[:, 0], size[:, 0])
  inside_columns = _inside(tf.shape(pixels)[2], place[:, 1], size[:, 1])
  hidden = inside_rows[:, :, tf.newaxis, tf.newaxis] & inside_columns[:, tf.newaxis, :, tf.newaxis]
  return tf.where(hidden, GREY, pixels), labels


def _inside(side: tf.Tensor, begin: tf.Tensor, length: tf.Tensor) -> tf.Tensor:
  """Returns bool [N, side]: which pixels' centres lie inside."""
  centres = (tf.range(tf.cast(side, tf.float32)) + 0.5) / tf.cast(side, tf.float32)
  begin, end = begin[:, tf.newaxis], (begin + length)[:, tf.newaxis]
  return (centres >= begin) & (centres < end)
