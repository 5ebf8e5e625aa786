"""Transform's graph: label ids, and pixel statistics as NumPy computes them."""

import numpy as np

from models import decoder
from schemas.config import ImageConfig

IMAGE = ImageConfig(height=32, width=32)


def test_the_statistics_are_those_of_the_resized_training_images(training_data, images):
  pixels = (
    np.stack(
      [decoder.decode_and_resize(image, IMAGE).numpy() for image, _ in images['train']]
    ).astype(np.float64)
    / 255
  )
  mean, variance = training_data.pixel_statistics()
  np.testing.assert_allclose(mean, pixels.mean(axis=(0, 1, 2)), atol=1e-6)
  np.testing.assert_allclose(variance, pixels.var(axis=(0, 1, 2)), atol=1e-6)


def test_a_label_that_train_does_not_have_is_minus_one(transform_output, images):
  import tensorflow as tf

  from schemas import features

  out = transform_output.transform_features_layer()(
    {
      features.IMAGE: tf.constant([images['val'][0][0]] * 2),
      features.LABEL: tf.constant(['unknown', 'red']),
    }
  )
  ids = out[features.LABEL_ID].numpy()
  assert ids[0] == -1
  assert transform_output.vocabulary_by_name('label')[ids[1]] == b'red'


def test_no_tensor_of_the_graph_holds_the_pixels_of_a_batch():
  import tensorflow as tf

  from models import preprocessing

  def moments(images):
    return preprocessing._moments(images, ImageConfig(height=32, width=40))

  graph = tf.function(moments).get_concrete_function(tf.TensorSpec([None], tf.string)).graph
  outer = [tensor.shape for op in graph.get_operations() for tensor in op.outputs]
  assert not [shape for shape in outer if shape.rank is not None and shape.rank > 3]


def test_the_black_bars_of_a_padded_image_count():
  import tensorflow as tf

  from models import preprocessing

  # Half of the square is a white image of 8x16, half of it bars.
  white = tf.io.encode_png(np.full((8, 16, 3), 255, np.uint8))
  pad = ImageConfig(height=16, width=16, fit='pad')
  mean, square = preprocessing._moments(tf.stack([white]), pad)
  np.testing.assert_allclose(mean, [[0.5] * 3])
  np.testing.assert_allclose(square, [[0.5] * 3])


def test_what_a_crop_cuts_off_does_not_count():
  import tensorflow as tf

  from models import preprocessing

  pixels = np.zeros((16, 48, 3), np.uint8)
  pixels[:, 16:32] = 51
  crop = ImageConfig(height=16, width=16, fit='crop')
  mean, square = preprocessing._moments(tf.stack([tf.io.encode_png(pixels)]), crop)
  np.testing.assert_allclose(mean, [[0.2] * 3])
  np.testing.assert_allclose(square, [[0.04] * 3])
