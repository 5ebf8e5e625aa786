"""What is looked at before the first epoch."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from models import classifier
from models.training import losses, memory, preflight
from schemas.config import Config
from schemas.errors import TrainingError

NAMES = ('blue', 'green', 'red')
SIZE = 8
CROSS_ENTROPY = keras.losses.CategoricalCrossentropy(from_logits=True)


@pytest.fixture(autouse=True)
def seeds():
  keras.utils.set_random_seed(0)


def config(**sections) -> Config:
  return Config.model_validate({'name': 'colours', **sections})


def images(count: int = 24) -> tuple[np.ndarray, np.ndarray]:
  """Noise that differs from image to image, and labels that have nothing to do with it."""
  rng = np.random.default_rng(1)
  pixels = rng.uniform(0, 255, (count, SIZE, SIZE, 3)).astype(np.float32)
  return pixels, np.eye(3, dtype=np.float32)[np.arange(count) % 3]


def network(*middle: keras.layers.Layer, classes: int = 3) -> keras.Model:
  inputs = keras.Input((SIZE, SIZE, 3))
  x = keras.layers.Rescaling(1 / 127.5, -1.0)(inputs)
  x = keras.layers.Conv2D(8, 3, use_bias=False, name='conv')(x)
  x = keras.layers.BatchNormalization(name='norm')(x)
  x = keras.layers.ReLU()(x)
  for layer in middle:
    x = layer(x)
  x = keras.layers.Flatten()(x)
  x = keras.layers.Dropout(0.9, name='dropout')(x)
  return keras.Model(inputs, keras.layers.Dense(classes, name='logits')(x))


def check(model: keras.Model, read=images, loss=CROSS_ENTROPY, **options):
  options = {'config': config(), 'names': NAMES, 'train_images': 240, **options}
  return {one.name: one for one in preflight.check(model, loss, read, **options)}


class Readings:
  """The same first images at each reading, until `change` changes them from a reading on."""

  def __init__(self, change, first: int = 1):
    self.count = 0
    self._change = change
    self._first = first

  def __call__(self) -> tuple[np.ndarray, np.ndarray]:
    self.count += 1
    pixels, labels = images()
    if self.count < self._first:
      return pixels, labels
    return self._change(pixels, labels)


def test_a_sound_network_passes_every_check():
  found = check(network(), undecoded_ids=np.array([0, 2, 1]))
  assert [name for name, one in found.items() if not one.ok] == []
  assert list(found) == [
    'shapes',
    'pixels',
    'size',
    'memory',
    'pairs',
    'initial loss',
    'gradients',
    'tiny batch',
  ]
  # 3 x 3 x 3 x 8 weights, 4 x 8 of BatchNorm, and (6 x 6 x 8 + 1) x 3 at the end: 1,115
  # for 240 images.
  assert found['size'].text == '1,115 parameters for 240 training images: 4.646 an image.'
  assert '10 images of 3 classes' in found['tiny batch'].text
  assert '10 of 10 right' in found['tiny batch'].text


def test_everything_is_afterwards_what_it_was():
  model = network()
  model.get_layer('conv').trainable = False
  before = [variable.numpy() for variable in model.variables]
  assert len(before) == 1 + 4 + 1 + 2  # with the seed of dropout
  flags = [layer.trainable for layer in model.layers]
  trainable = [variable.path for variable in model.trainable_variables]
  check(model)
  for variable, value in zip(model.variables, before, strict=True):
    np.testing.assert_array_equal(variable.numpy(), value)
  assert [layer.trainable for layer in model.layers] == flags
  assert [variable.path for variable in model.trainable_variables] == trainable
  assert model.get_layer('dropout').rate == 0.9


def test_also_after_a_check_that_failed():
  model = network()
  before = [variable.numpy() for variable in model.variables]
  rng = np.random.default_rng(0)
  with pytest.raises(TrainingError):
    check(model, Readings(lambda x, y: (x, y[rng.permutation(len(y))]), first=3))
  for variable, value in zip(model.variables, before, strict=True):
    np.testing.assert_array_equal(variable.numpy(), value)
  assert model.get_layer('dropout').rate == 0.9


def test_the_model_is_traced_once_without_dropout_and_runs_eagerly_with_it():
  seen = []

  class Watched(keras.layers.Dropout):
    def call(self, x, training=False):
      seen.append((tf.executing_eagerly(), training, self.rate))
      return super().call(x, training=training)

  model = network(Watched(0.25))
  seen.clear()
  check(model)
  # The first loss in inference and in training mode; then the one traced step.
  assert seen == [(True, False, 0.25), (True, True, 0.25), (False, True, 0.0)]


def test_a_real_backbone_passes_too():
  cfg = config(
    image={'height': 32, 'width': 32},
    model={'backbone': 'efficientnet_tiny', 'drop_connect': 0.2},
  )
  model = classifier.build(cfg.model, cfg.image, 3, np.full(3, 0.5), np.full(3, 0.1))
  # As in a frozen first stage, over random weights.
  model.get_layer('backbone').trainable = False
  rng = np.random.default_rng(0)
  pixels = rng.uniform(0, 255, (12, 32, 32, 3)).astype(np.float32)
  labels = np.eye(3, dtype=np.float32)[np.arange(12) % 3]
  before = [variable.numpy() for variable in model.variables]
  found = check(
    model, lambda: (pixels, labels), losses.build(cfg.train, None), config=cfg, names=NAMES
  )
  assert [name for name, one in found.items() if not one.ok] == []
  for variable, value in zip(model.variables, before, strict=True):
    np.testing.assert_array_equal(variable.numpy(), value)
  assert len(model.trainable_variables) == 2


# Shapes and values


def test_another_number_of_outputs_than_labels_is_refused():
  with pytest.raises(TrainingError, match='the network has 4 outputs. Expected: 3'):
    check(network(classes=4))


def test_pixels_of_another_size_are_refused():
  def read():
    pixels, labels = images()
    return pixels[:, 1:], labels

  with pytest.raises(TrainingError, match=r"expected pixels float32 \['N', 8, 8, 3\]"):
    check(network(), read)


def test_label_ids_out_of_range_are_refused():
  with pytest.raises(TrainingError, match='expected 0 to 2, for 3 labels. Received: 0 to 3'):
    check(network(), undecoded_ids=np.array([0, 3, 1]))
  # An id without a column became a row of zeros.
  with pytest.raises(TrainingError, match=r'Received in row 5: \[0.0, 0.0, 0.0\]'):
    check(network(), Readings(lambda x, y: (x, y * (np.arange(24) != 5)[:, None])))


def test_labels_with_another_number_of_columns_are_refused():
  with pytest.raises(TrainingError, match=r'expected labels \[24, 3\]'):
    check(network(), Readings(lambda x, y: (x, y[:, :2])))


@pytest.mark.parametrize('factor', [-1.0, 2.0, math.nan])
def test_pixels_outside_0_to_255_are_refused(factor):
  with pytest.raises(TrainingError, match='expected pixels from 0 to 255'):
    check(network(), Readings(lambda x, y: (x * np.float32(factor), y)))


def test_pixels_that_look_divided_by_255_are_warned_about():
  found = preflight._pixels(images()[0] / 255)
  assert not found.ok
  assert 'already divided by 255' in found.text


def test_black_images_are_counted():
  pixels, _ = images()
  pixels[[2, 5]] = 0.0
  found = preflight._pixels(pixels)
  assert not found.ok
  assert '2 of 24 images have one colour' in found.text


def test_one_image_over_and_over_is_warned_about():
  found = check(network(), Readings(lambda x, y: (np.repeat(x[:1], 24, 0), y)))
  assert 'all 24 images are the same one' in found['pixels'].text
  assert not found['tiny batch'].ok


def test_a_training_beyond_the_memory_is_refused(monkeypatch):
  asked = []
  monkeypatch.setattr(
    memory, 'estimate', lambda model, batch_size: asked.append(batch_size) or 7_000_000_000
  )
  monkeypatch.setattr(memory, 'available', lambda: 6_500_000_000)
  with pytest.raises(TrainingError, match=r'7\.00 GB for batches of 48, and 6\.50 GB') as error:
    check(network(), config=config(train={'batch_size': 48}))
  assert asked == [48]
  for what in ('train.batch_size', 'image.height', 'model.backbone'):
    assert what in str(error.value)


# The first loss


@pytest.mark.parametrize(
  ('train', 'weights', 'expected'),
  [
    ({'label_smoothing': 0.0}, None, math.log(3)),
    # Equal probabilities cost the same whatever the labels are.
    ({'label_smoothing': 0.3}, None, math.log(3)),
    (
      {'loss': 'focal', 'focal_gamma': 2.0, 'label_smoothing': 0.0},
      None,
      (1 - 1 / 3) ** 2 * math.log(3),
    ),
    # The 24 images have 8 of each class.
    ({'label_smoothing': 0.0}, [0.5, 1.0, 6.0], (0.5 + 1 + 6) / 3 * math.log(3)),
  ],
  ids=['plain', 'smoothed', 'focal', 'weighted'],
)
def test_the_first_loss_is_compared_with_that_of_equal_probabilities(train, weights, expected):
  cfg = config(train=train)
  loss = losses.build(cfg.train, None if weights is None else np.array(weights))
  found = preflight._initial_loss(network(), loss, *images())
  assert f'{expected:.4g} is a loss of equal probabilities' in found.text
  assert found.ok


def test_a_first_loss_far_off_is_warned_about():
  model = network()
  kernel = model.get_layer('logits').kernel
  kernel.assign(kernel * 100.0)
  found = preflight._initial_loss(model, CROSS_ENTROPY, *images())
  assert not found.ok
  assert 'confidently and wrongly' in found.text


def test_a_last_layer_that_knows_the_answers_is_warned_about():
  class Cheat(keras.layers.Layer):
    """Reads the label from the first pixel."""

    def call(self, x):
      return 8.0 * tf.one_hot(tf.cast(x[:, 0, 0, 0], tf.int32), 3)

  inputs = keras.Input((SIZE, SIZE, 3))
  outputs = keras.layers.Dense(3, kernel_initializer='identity')(Cheat()(inputs))
  model = keras.Model(inputs, outputs)

  pixels, labels = images()
  pixels[:, 0, 0, 0] = labels.argmax(axis=1)
  found = preflight._initial_loss(model, CROSS_ENTROPY, pixels, labels)
  assert not found.ok
  assert 'knows the answers already' in found.text


def test_a_first_loss_that_is_not_finite_is_refused_and_names_the_layer():
  model = network()
  model.get_layer('norm').gamma.assign([math.inf] * 8)
  with pytest.raises(TrainingError, match='the untrained network is nan. norm'):
    check(model)


# Gradients


def test_a_detached_layer_is_named():
  class Detached(keras.layers.Layer):
    def call(self, x):
      return keras.ops.stop_gradient(x)

  with pytest.raises(TrainingError, match='no gradient reaches conv, norm: conv/kernel') as error:
    check(network(Detached()))
  assert '3 of 5 trainable variables' in str(error.value)


def test_a_loss_that_does_not_see_the_network_is_refused():
  class Blind(keras.losses.Loss):
    def call(self, labels, logits):
      return keras.ops.sum(labels, axis=-1) + 0.0 * keras.ops.sum(logits, axis=-1)

  with pytest.raises(TrainingError, match='is 0 at every trainable variable'):
    check(network(), loss=Blind())


def test_a_gradient_that_is_not_finite_is_refused():
  class Root(keras.layers.Layer):
    def call(self, x):
      return keras.ops.sqrt(keras.ops.relu(x - 1e6)) + x

  with pytest.raises(TrainingError, match='first gradient is not finite at conv/kernel'):
    check(network(Root()))


def test_dead_units_are_named_and_do_not_stop_the_training():
  class Branch(keras.layers.Layer):
    """Adds something that a dead ReLU never lets through."""

    def build(self, shape):
      self.scale = self.add_weight(shape=(), initializer='ones', name='scale')

    def call(self, x):
      return x + keras.ops.relu(self.scale * 0.001 - 1.0)

  found = check(network(Branch(name='branch')))
  assert not found['gradients'].ok
  assert 'branch/scale, 1 of 6 trainable variables' in found['gradients'].text


def test_a_gate_that_starts_at_zero_is_no_fault():
  model = network()
  model.get_layer('norm').gamma.assign([0.0] * 8)
  model.get_layer('norm').beta.assign([0.1] * 8)
  found = check(model)
  # At the first step the kernel before it receives nothing.
  assert found['gradients'].ok


# The tiny batch


@pytest.mark.parametrize('first', [2, 3])
def test_labels_shuffled_apart_from_the_pixels_are_found(first):
  rng = np.random.default_rng(0)
  read = Readings(lambda x, y: (x, y[rng.permutation(len(y))]), first)
  # At the second reading the comparison sees it; later, only the learning does.
  text = {2: 'Images and labels come apart', 3: 'a tiny batch is not learnt'}[first]
  with pytest.raises(TrainingError, match=text):
    check(network(), read)


@pytest.mark.parametrize('first', [2, 3])
def test_pixels_shuffled_apart_from_the_labels_are_found(first):
  rng = np.random.default_rng(0)
  read = Readings(lambda x, y: (x[rng.permutation(len(x))], y), first)
  text = {2: 'all labels stayed where they were', 3: 'a tiny batch is not learnt'}[first]
  with pytest.raises(TrainingError, match=text):
    check(network(), read)


def test_pixels_scrambled_within_each_image_are_found():
  rng = np.random.default_rng(0)

  def scramble(pixels, labels):
    flat = pixels.reshape(len(pixels), -1, 3)
    return flat[:, rng.permutation(flat.shape[1])].reshape(pixels.shape), labels

  with pytest.raises(TrainingError, match='a tiny batch is not learnt'):
    check(network(), Readings(scramble, first=3))


def test_another_number_of_images_at_the_next_reading_is_refused():
  with pytest.raises(TrainingError, match='Received: 24 and 23 images'):
    check(network(), Readings(lambda x, y: (x[1:], y[1:]), first=2))


def test_a_network_that_does_not_see_the_images_is_refused():
  class Blind(keras.layers.Layer):
    def call(self, x):
      return x * 0.0 + 1.0

  with pytest.raises(TrainingError, match='a tiny batch is not learnt. 10 images of 3 classes'):
    check(network(Blind()))


def test_the_tiny_batch_takes_each_class_in_turn_and_no_image_twice():
  pixels, _ = images(30)
  pixels[3] = pixels[0]
  labels = np.eye(3, dtype=np.float32)[[0] * 26 + [1, 1, 1, 2]]
  chosen = preflight._choose(pixels, labels)
  # 0, 26, 29; 1, 27; 2, 28; then only the first class is left, without the copy at 3.
  assert chosen.tolist() == [0, 1, 2, 4, 5, 6, 26, 27, 28, 29]


def test_first_images_of_one_class_are_warned_about():
  found = check(network(), Readings(lambda x, y: (x, np.repeat(y[:1], 24, 0))))
  assert not found['tiny batch'].ok
  assert 'sorted by class' in found['tiny batch'].text


def test_when_the_time_is_over_it_says_how_far_it_came(monkeypatch):
  monkeypatch.setattr(preflight, 'SECONDS', -1.0)
  found = check(network())
  assert not found['tiny batch'].ok
  assert 'in 1 steps' in found['tiny batch'].text


def test_records_are_read_anew_for_each_step_but_not_for_ever(monkeypatch):
  read = Readings(lambda x, y: (x, y))
  found = check(network(), read)
  steps = int(found['tiny batch'].text.split(' in ')[1].split()[0])
  # Two to compare, and one a step.
  assert read.count == 2 + steps
  monkeypatch.setattr(preflight, 'READING_SECONDS', 0.0)
  read = Readings(lambda x, y: (x, y))
  check(network(), read)
  assert read.count == 3


# Directions


@pytest.mark.parametrize(
  ('augment', 'directional', 'named'),
  [
    ({}, None, None),
    ({'horizontal_flip': True}, False, None),
    ({'horizontal_flip': True}, None, 'augment.horizontal_flip is on'),
    (
      {'horizontal_flip': True, 'vertical_flip': True},
      None,
      'augment.horizontal_flip and augment.vertical_flip are on',
    ),
    ({'rotation': 0.3}, True, None),
    ({'rotation': 1.0}, True, 'augment.rotation 1 turns'),
    ({'rand_augment': 2}, True, 'augment.rand_augment at rand_magnitude 0.3'),
    ({'rand_augment': 2, 'rand_magnitude': 0.1}, True, None),
  ],
)
def test_a_flip_wants_to_be_declared_harmless(augment, directional, named):
  found = preflight.directions(config(augment=augment, data={'directional': directional}))
  if named is None:
    assert found is None
  else:
    assert not found.ok
    assert named in found.text
    assert 'data.directional' in found.text
