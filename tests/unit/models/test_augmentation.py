"""Augmentation: what is drawn stays in its limits, and what is applied is exact."""

import numpy as np
import pytest
import tensorflow as tf

from models import augmentation
from schemas.config import AugmentConfig

IMAGES = np.random.default_rng(0).uniform(0, 255, (3, 8, 12, 3)).astype(np.float32)


def nothing(count: int = 3) -> augmentation.Draw:
  zeros, ones = tf.zeros([count]), tf.ones([count])
  return augmentation.Draw(
    shift_y=zeros,
    shift_x=zeros,
    angle=zeros,
    scale=ones,
    mirror=ones,
    brightness=zeros,
    contrast=ones,
    flip=ones,
    saturation=ones,
    crop_height=ones,
    crop_width=ones,
    crop_top=zeros,
    crop_left=zeros,
  )


def apply(**changes) -> np.ndarray:
  values = {name: tf.fill([3], float(value)) for name, value in changes.items()}
  drawn = nothing()._replace(**values)
  return augmentation.recolour(augmentation.move(tf.constant(IMAGES), drawn), drawn).numpy()


def test_nothing_drawn_changes_nothing():
  np.testing.assert_allclose(apply(), IMAGES, atol=1e-3)


def test_mirror_is_a_flip_of_left_and_right():
  np.testing.assert_allclose(apply(mirror=-1), IMAGES[:, :, ::-1], atol=1e-3)


def test_flip_is_upside_down():
  np.testing.assert_allclose(apply(flip=-1), IMAGES[:, ::-1], atol=1e-3)


def test_a_shift_moves_the_content_right_and_down_and_repeats_the_border():
  shifted = apply(shift_x=2 / 12, shift_y=1 / 8)
  np.testing.assert_allclose(shifted[:, 1:, 2:], IMAGES[:, :-1, :-2], atol=1e-2)
  np.testing.assert_allclose(shifted[:, 1:, 0], IMAGES[:, :-1, 0], atol=1e-2)


def test_half_a_turn_is_both_flips():
  np.testing.assert_allclose(apply(angle=np.pi), IMAGES[:, ::-1, ::-1], atol=5e-2)


def test_a_quarter_turn_of_a_square_is_that_of_numpy():
  square = tf.constant(IMAGES[:, :, :8])
  turned = augmentation.move(
    square, nothing()._replace(angle=tf.fill([3], float(np.pi / 2)))
  ).numpy()
  np.testing.assert_allclose(turned, np.rot90(square.numpy(), axes=(1, 2)), atol=5e-2)


def test_brightness_adds_and_contrast_stretches_about_the_mean():
  np.testing.assert_allclose(apply(brightness=10), np.minimum(IMAGES + 10, 255), atol=1e-2)
  mean = IMAGES.mean(axis=(1, 2, 3), keepdims=True)
  np.testing.assert_allclose(apply(contrast=0.5), mean + (IMAGES - mean) * 0.5, atol=1e-2)


def test_saturation_stretches_about_the_grey_of_each_pixel():
  grey = (IMAGES * [0.299, 0.587, 0.114]).sum(axis=3, keepdims=True)
  expected = np.clip(grey + (IMAGES - grey) * 1.3, 0, 255)
  np.testing.assert_allclose(apply(saturation=1.3), expected, atol=1e-2)
  np.testing.assert_allclose(apply(saturation=0), np.repeat(grey, 3, axis=3), atol=1e-2)


def sample(images: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
  """Bilinear interpolation at rows x columns; beyond the last centre its value repeats."""

  def along(values, places, axis):
    below = np.floor(places).astype(int)
    share = (places - below).reshape([-1 if i == axis else 1 for i in range(values.ndim)])
    last = values.shape[axis] - 1
    one, two = (np.take(values, np.clip(below + i, 0, last), axis) for i in (0, 1))
    return one * (1 - share) + two * share

  return along(along(images, rows, 1), columns, 2)


CROP = {'crop_height': 0.5, 'crop_width': 0.75, 'crop_top': 0.25, 'crop_left': 0.125}


def cropped() -> np.ndarray:
  """Rows 2 to 6 of 8 and columns 1.5 to 10.5 of 12, made as large as the image."""
  rows = 2 + (np.arange(8) + 0.5) * 4 / 8 - 0.5
  columns = 1.5 + (np.arange(12) + 0.5) * 9 / 12 - 0.5
  return sample(IMAGES, rows, columns)


def test_a_crop_is_made_as_large_as_the_image():
  np.testing.assert_allclose(apply(**CROP), cropped(), atol=1e-2)


def test_the_other_changes_are_of_the_crop_and_resample_nothing_again():
  np.testing.assert_allclose(apply(mirror=-1, **CROP), cropped()[:, :, ::-1], atol=1e-2)
  np.testing.assert_allclose(apply(flip=-1, **CROP), cropped()[:, ::-1], atol=1e-2)
  shifted = apply(shift_x=3 / 12, **CROP)
  np.testing.assert_allclose(shifted[:, :, 3:], cropped()[:, :, :-3], atol=1e-2)


def test_a_crop_that_is_longer_than_the_image_keeps_its_area():
  area, log_ratio = np.float32([0.5, 0.5, 0.5, 1]), np.log(np.float32([1, 1.5, 4, 2]))
  height, width = augmentation.crop_sides(tf.constant(area), tf.constant(log_ratio))
  np.testing.assert_allclose(height * width, area, rtol=1e-5)
  # 4 asks for a width of sqrt(2): 1 is left, and the ratio is 2.
  np.testing.assert_allclose(width / height, [1, 1.5, 2, 1], rtol=1e-5)


def test_the_same_seed_draws_the_same_and_another_draws_otherwise():
  config = AugmentConfig(
    horizontal_flip=True,
    vertical_flip=True,
    brightness=0.2,
    contrast=0.2,
    saturation=0.2,
    crop_area=0.5,
  )
  one, same, other = (
    augmentation.draw(config, 64, tf.constant([1, seed], tf.int64)) for seed in (2, 2, 3)
  )
  for name in one._fields:
    np.testing.assert_array_equal(getattr(one, name), getattr(same, name))
    assert not np.array_equal(getattr(one, name), getattr(other, name)), name


@pytest.mark.parametrize(
  'field, low, high',
  [
    ('shift_x', -0.1, 0.1),
    ('shift_y', -0.1, 0.1),
    ('angle', -0.3, 0.3),
    ('scale', 0.8, 1.2),
    ('brightness', -51, 51),
    ('contrast', 0.7, 1.3),
    ('saturation', 0.6, 1.4),
  ],
)
def test_draws_fill_their_limits_and_stay_inside(field, low, high):
  config = AugmentConfig(
    shift=0.1, rotation=0.3, zoom=0.2, brightness=0.2, contrast=0.3, saturation=0.4
  )
  values = getattr(augmentation.draw(config, 2000, tf.constant([1, 2], tf.int64)), field).numpy()
  assert low <= values.min() < low + 0.05 * (high - low)
  assert high >= values.max() > high - 0.05 * (high - low)


def test_no_flip_unless_asked_for():
  drawn = augmentation.draw(AugmentConfig(), 200, tf.constant([1, 2], tf.int64))
  assert set(drawn.mirror.numpy()) == {1.0}
  assert set(drawn.flip.numpy()) == {1.0}


def test_half_of_the_images_are_flipped():
  config = AugmentConfig(horizontal_flip=True, vertical_flip=True)
  drawn = augmentation.draw(config, 2000, tf.constant([1, 2], tf.int64))
  for signs in (drawn.mirror.numpy(), drawn.flip.numpy()):
    assert set(signs) == {1.0, -1.0}
    # Half of 2000, and five deviations of 22.
    assert 890 < (signs == 1).sum() < 1110
  assert abs(np.mean(drawn.mirror * drawn.flip)) < 0.12


def test_the_area_and_the_ratio_of_crops_fill_their_limits_and_boxes_stay_inside():
  config = AugmentConfig(crop_area=0.2, crop_ratio=1.5)
  drawn = augmentation.draw(config, 4000, tf.constant([1, 2], tf.int64))
  height, width = drawn.crop_height.numpy(), drawn.crop_width.numpy()
  area = height * width
  assert 0.2 - 1e-5 <= area.min() < 0.22 and 0.98 < area.max() <= 1 + 1e-5
  # Uniform: its mean is 0.6, with a deviation of 0.8 / sqrt(12 * 4000).
  assert abs(area.mean() - 0.6) < 0.02
  log_ratio = np.log(width / height)
  assert np.abs(log_ratio).max() <= np.log(1.5) + 1e-5
  assert log_ratio.min() < -0.95 * np.log(1.5) and log_ratio.max() > 0.95 * np.log(1.5)
  for begin, length in ((drawn.crop_top, height), (drawn.crop_left, width)):
    assert begin.numpy().min() >= 0 and (begin.numpy() + length).max() <= 1 + 1e-5
  free = drawn.crop_top.numpy()[height < 0.9] / (1 - height[height < 0.9])
  assert free.min() < 0.05 and free.max() > 0.95


NOTHING = {'shift': 0, 'rotation': 0, 'zoom': 0}
EACH = [
  {'shift': 0.2},
  {'rotation': 0.5},
  {'zoom': 0.3},
  {'horizontal_flip': True},
  {'vertical_flip': True},
  {'brightness': 0.2},
  {'contrast': 0.5},
  {'saturation': 0.5},
  {'crop_area': 0.3},
  {'rand_augment': 2, 'rand_magnitude': 0.5},
  {'mixup': 0.4},
  {'cutmix': 1.0},
  {'fn': f'{__name__}.dimmer'},
]


def dimmer(pixels, labels, seed):
  return pixels * tf.random.stateless_uniform([], seed, 0.2, 0.9), labels


def batch() -> tuple[np.ndarray, np.ndarray]:
  pixels = np.random.default_rng(3).uniform(0, 255, (6, 16, 12, 3)).astype(np.float32)
  return pixels, np.eye(3, dtype=np.float32)[[0, 1, 2, 0, 1, 2]]


def augmented(config: AugmentConfig, *seed: int) -> tuple[np.ndarray, np.ndarray]:
  pixels, labels = batch()
  changed = augmentation.augment(
    config, tf.constant(pixels), tf.constant(labels), tf.constant(seed, tf.int64)
  )
  return tuple(part.numpy() for part in changed)


@pytest.mark.parametrize('change', EACH, ids=lambda change: next(iter(change)))
def test_each_change_keeps_shape_range_and_labels_and_is_a_function_of_the_seed(change):
  config = AugmentConfig(**NOTHING | change)
  assert not augmentation.is_identity(config)
  pixels, labels = batch()
  one, same, other = (augmented(config, 1, second) for second in (2, 2, 3))
  assert one[0].shape == pixels.shape and one[0].dtype == np.float32
  assert one[1].shape == labels.shape and one[1].dtype == np.float32
  assert one[0].min() >= 0 and one[0].max() <= 255
  np.testing.assert_allclose(one[1].sum(axis=1), 1, atol=1e-6)
  if not config.mixup and not config.cutmix:
    np.testing.assert_array_equal(one[1], labels)
  assert not np.array_equal(one[0], pixels)
  np.testing.assert_array_equal(one[0], same[0])
  np.testing.assert_array_equal(one[1], same[1])
  assert not np.array_equal(one[0], other[0])


def test_what_changes_nothing_gives_the_very_batch():
  config = AugmentConfig(**NOTHING)
  assert augmentation.is_identity(config)
  pixels, labels = augmented(config, 1, 2)
  np.testing.assert_array_equal(pixels, batch()[0])
  np.testing.assert_array_equal(labels, batch()[1])


def test_every_field_that_changes_something_is_known_to_is_identity():
  """A new field of augment has to be listed above, and so in is_identity."""
  of_others = {'crop_ratio', 'rand_magnitude', 'mix_probability', 'reasons'}
  assert {next(iter(change)) for change in EACH} == set(AugmentConfig.model_fields) - of_others


def test_one_part_switched_on_leaves_what_the_others_draw():
  moved, labels = augmented(AugmentConfig(), 1, 2)
  mixed = AugmentConfig(mixup=1e-6)  # of an image and another, one is taken whole
  both, both_labels = augmented(mixed, 1, 2)
  for image, label in zip(both, both_labels, strict=True):
    distances = np.abs(moved - image).max(axis=(1, 2, 3))
    assert distances.min() < 1e-3
    np.testing.assert_allclose(label, labels[distances.argmin()], atol=1e-6)


def test_a_parallel_map_gives_what_one_call_after_the_other_gives():
  config = AugmentConfig(rand_augment=1, mixup=0.2, cutmix=1.0, crop_area=0.5)
  pixels, labels = batch()
  seeds = [[7, second] for second in range(6)]

  def change(seed):
    return augmentation.augment(config, tf.constant(pixels), tf.constant(labels), seed)

  mapped = (
    tf.data.Dataset.from_tensor_slices(tf.constant(seeds, tf.int64))
    .map(change, num_parallel_calls=4, deterministic=True)
    .repeat(2)
  )
  results = [tuple(part.numpy() for part in result) for result in mapped]
  for result, seed in zip(results, seeds * 2, strict=True):
    for part, expected in zip(result, augmented(config, *seed), strict=True):
      # Eager and graph kernels may round differently.
      np.testing.assert_allclose(part, expected, atol=1e-2)
  for result, again in zip(results[:6], results[6:], strict=True):
    np.testing.assert_array_equal(result[0], again[0])
    np.testing.assert_array_equal(result[1], again[1])


def test_a_batch_of_unknown_size_and_a_policy_of_16_bits():
  import keras

  config = AugmentConfig(rand_augment=1, mixup=0.2, cutmix=1.0)
  previous = keras.config.dtype_policy()
  keras.config.set_dtype_policy('mixed_bfloat16')
  try:
    graph = tf.function(
      lambda *values: augmentation.augment(config, *values),
      input_signature=[
        tf.TensorSpec([None, 16, 12, 3]),
        tf.TensorSpec([None, 3]),
        tf.TensorSpec([2], tf.int64),
      ],
    )
    for count in (6, 1):
      pixels, labels = (part[:count] for part in batch())
      changed, mixed = graph(pixels, labels, tf.constant([1, 2], tf.int64))
      assert changed.dtype == mixed.dtype == tf.float32
      assert changed.shape == pixels.shape and mixed.shape == labels.shape
  finally:
    keras.config.set_dtype_policy(previous)
