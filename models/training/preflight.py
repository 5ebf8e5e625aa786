"""What is looked at before the first epoch: seconds that save hours."""

import dataclasses
import math
import time
from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf

from models.training import memory, model_state, nonfinite
from schemas.config import Config
from schemas.errors import TrainingError

# How many images are learnt by heart.
TINY = 10
# Cross-entropy that counts as learnt: a mean probability of 0.95 for the right class.
LEARNT = 0.05
STEPS = 60
# Adam's usual rate; one for a network that moves slowly, and one for one that is thrown about.
RATES = (1e-3, 1e-2, 1e-4)
# Below as many steps in all it is too early to say that a network does not learn.
ENOUGH_STEPS = 30
# One more step is begun below it, counted from the first step, which traces the graph.
SECONDS = 20.0
# The records are read anew for each step until their reading has taken this long.
READING_SECONDS = 2.0
# Of random logits, to learn how far from the expected loss is far.
_DRAWS = 25
# An eighth of a circle, in radians: a 6 is still a 6, an N no Z yet.
FAR_TURN = math.pi / 4
# float16 loses gradients below 6e-8; the same factor for all steps is enough here.
_LOSS_SCALE = 1024.0
# Names of variables that a text lists before it counts the rest.
_LISTED = 5

_NOISE = {
  keras.layers.Dropout: 'rate',
  keras.layers.AlphaDropout: 'rate',
  keras.layers.GaussianDropout: 'rate',
  keras.layers.GaussianNoise: 'stddev',
}


@dataclasses.dataclass(frozen=True)
class Check:
  """One finding.

  Attributes:
    name: of the check, one or two words.
    ok: False where something looks suspicious; what is wrong beyond doubt raises.
    text: what was seen, in a sentence or two.
  """

  name: str
  ok: bool
  text: str


def check(
  model: keras.Model,
  loss: keras.losses.Loss,
  read_batch: Callable[[], tuple[np.ndarray, np.ndarray]],
  config: Config,
  names: Sequence[str],
  train_images: int,
  undecoded_ids: np.ndarray | None = None,
) -> list[Check]:
  """Looks at a network and the first images that it will see.

  Afterwards every variable of the model is bit for bit what it was, and as trainable.
  The model runs eagerly twice and is traced once.

  Args:
    model: from pixels float32 [N, H, W, 3], 0..255, to logits float32 [N, K]; trainable
      where the first stage trains it.
    loss: of (labels float32 [N, K], logits), as in training.
    read_batch: reads and decodes the same first images of train anew at each call, in
      the same order and not augmented: (pixels, labels), the labels one-hot. At least
      10 images where there are as many. What goes wrong in it shows here.
    config: train.batch_size is read.
    names: the K labels.
    train_images: images of train.
    undecoded_ids: int [M], label ids before they were made one-hot, or None.

  Returns:
    One entry a check, in the order in which they were made.

  Raises:
    TrainingError: for what would waste the training beyond doubt.
  """
  pixels, labels = _read(read_batch)
  checks = [
    _shapes(model, pixels, labels, names, undecoded_ids),
    _pixels(pixels),
    _size(model, train_images),
    _memory(model, config),
    _pairs(pixels, labels, *_read(read_batch), names),
  ]
  with model_state.kept(model):
    size = config.train.batch_size
    checks.append(_initial_loss(model, loss, pixels[:size], labels[:size]))
  with model_state.kept(model):
    checks += _learning(model, loss, read_batch, pixels, labels)
  return checks


def directions(config: Config) -> Check | None:
  """Returns a warning where images are flipped and nobody said that it is harmless.

  A config that flips and says that it is harmful does not load; where it turns images far,
  that is a warning.
  """
  flips = [
    f'augment.{name}'
    for name in ('horizontal_flip', 'vertical_flip')
    if getattr(config.augment, name)
  ]
  if config.data.directional:
    return _turns(config)
  if not flips or config.data.directional is not None:
    return None
  return Check(
    'directions',
    False,
    f'{" and ".join(flips)} {"are" if len(flips) > 1 else "is"} on, and data.directional is not '
    'declared. Of digits, signs and text a mirrored image is of another class, or of none. '
    'Declare data.directional: false where flips are fine; true refuses them.',
  )


def _turns(config: Config) -> Check | None:
  """Returns a warning where images of directional classes are turned far."""
  augment = config.augment
  found = [f'augment.rotation {augment.rotation:g}'] if augment.rotation > FAR_TURN else []
  if augment.rand_augment and augment.rand_magnitude * 2 * math.pi > FAR_TURN:
    found.append(f'augment.rand_augment at rand_magnitude {augment.rand_magnitude:g}')
  if not found:
    return None
  return Check(
    'directions',
    False,
    f'{" and ".join(found)} turns images by more than {math.degrees(FAR_TURN):.0f} degrees, and '
    'data.directional says that a turned image is of another class. Lower it.',
  )


def _read(read_batch: Callable[[], tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
  pixels, labels = read_batch()
  return np.asarray(pixels), np.asarray(labels)


def _shapes(
  model: keras.Model,
  pixels: np.ndarray,
  labels: np.ndarray,
  names: Sequence[str],
  ids: np.ndarray | None,
) -> Check:
  classes = len(names)
  if model.output_shape[-1] != classes:
    raise TrainingError(
      f'the network has {model.output_shape[-1]} outputs. Expected: {classes}, one for each of '
      f'the labels {_some(names)}.'
    )
  expected = tuple(model.input_shape[1:])
  if pixels.dtype != np.float32 or pixels.shape[1:] != expected or not len(pixels):
    raise TrainingError(
      f'the first batch: expected pixels float32 {["N", *expected]}, as the network takes them. '
      f'Received: {pixels.dtype} {list(pixels.shape)}. Look at image.height and image.width.'
    )
  if labels.shape != (len(pixels), classes):
    raise TrainingError(
      f'the first batch: expected labels [{len(pixels)}, {classes}], a row for each image and a '
      f'column for each label. Received: {list(labels.shape)}.'
    )
  if ids is not None and ids.size and (ids.min() < 0 or ids.max() >= classes):
    raise TrainingError(
      f'label ids of train: expected 0 to {classes - 1}, for {classes} labels. '
      f'Received: {ids.min()} to {ids.max()}. Run Transform again on this data.'
    )
  wrong = np.flatnonzero(~((labels.min(axis=1) >= 0) & (np.abs(labels.sum(axis=1) - 1) < 1e-3)))
  if wrong.size:
    raise TrainingError(
      f'the first batch: expected rows of labels that sum to 1. Received in row {wrong[0]}: '
      f'{labels[wrong[0]].tolist()}, and {wrong.size} such rows. A label id outside 0 to '
      f'{classes - 1} has no column: run Transform again on this data.'
    )
  return Check(
    'shapes', True, f'Pixels {list(pixels.shape)}, labels {list(labels.shape)}, {classes} outputs.'
  )


def _pixels(pixels: np.ndarray) -> Check:
  finite = np.isfinite(pixels)
  lowest, highest = pixels.min(), pixels.max()
  if not finite.all() or lowest < -0.5 or highest > 255.5:
    raise TrainingError(
      'the first batch: expected pixels from 0 to 255; the network normalises them itself. '
      f'Received: {lowest:.4g} to {highest:.4g}, {int((~finite).sum())} of them not finite.'
    )
  flat = pixels.reshape(len(pixels), -1)
  plain = int((flat.max(axis=1) == flat.min(axis=1)).sum())
  seen = f'{lowest:.4g} to {highest:.4g}, mean {pixels.mean():.4g}'
  if 0 < highest <= 1:
    return Check(
      'pixels', False, f'{seen}: looks already divided by 255, which the network does itself.'
    )
  if plain:
    return Check(
      'pixels',
      False,
      f'{seen}: {plain} of {len(pixels)} images have one colour and show nothing.',
    )
  if len(pixels) > 1 and (flat == flat[0]).all():
    return Check('pixels', False, f'{seen}: all {len(pixels)} images are the same one.')
  return Check('pixels', True, f'{seen}.')


def _size(model: keras.Model, train_images: int) -> Check:
  count = model.count_params()
  return Check(
    'size',
    True,
    f'{count:,} parameters for {train_images:,} training images: '
    f'{count / max(train_images, 1):,.4g} an image.',
  )


def _memory(model: keras.Model, config: Config) -> Check:
  size = config.train.batch_size
  needed, there = memory.estimate(model, size), memory.available()
  seen = f'about {needed / 1e9:.2f} GB for batches of {size}, and {there / 1e9:.2f} GB are free'
  if needed > there:
    raise TrainingError(
      f'memory: this training needs {seen}. Lower train.batch_size (train.accumulate makes up for '
      'it), image.height and image.width, or take a smaller model.backbone.'
    )
  return Check('memory', True, seen[0].upper() + seen[1:] + '.')


def _pairs(
  pixels: np.ndarray,
  labels: np.ndarray,
  pixels_again: np.ndarray,
  labels_again: np.ndarray,
  names: Sequence[str],
) -> Check:
  """Compares two readings of the same records."""
  if pixels.shape != pixels_again.shape or labels.shape != labels_again.shape:
    raise TrainingError(
      'the first batch, read twice: expected the same images. Received: '
      f'{len(pixels)} and {len(pixels_again)} images.'
    )
  same_pixels = np.abs(pixels - pixels_again).reshape(len(pixels), -1).max(axis=1) < 0.5
  same_labels = (labels == labels_again).all(axis=1)
  if same_pixels.all() and same_labels.all():
    return Check('pairs', True, f'{len(pixels)} images read twice: same pixels, same labels.')
  where = int(np.flatnonzero(~(same_pixels & same_labels))[0])
  if same_pixels[where]:
    first, second = (names[int(row[where].argmax())] for row in (labels, labels_again))
    found = f'image {where} is {first} in one reading and {second} in the other'
  elif same_labels.all():
    found = f'at position {where} lie other pixels, while all labels stayed where they were'
  else:
    found = f'at position {where} lies another image'
  raise TrainingError(
    'the first batch, read twice: expected the same images with the same labels in the same '
    f'order. Received: {found}. Images and labels come apart in the reading of the records.'
  )


def _initial_loss(
  model: keras.Model, loss: keras.losses.Loss, pixels: np.ndarray, labels: np.ndarray
) -> Check:
  """Compares the first loss with that of a network without an opinion.

  The new last layer knows nothing, whatever the weights below it know, so the loss is
  near that of equal logits: ln K for plain cross-entropy; smoothing, gamma and weights
  are in, since the loss itself is asked.
  """
  for training in (False, True):
    logits = model(pixels, training=training)
    seen = float(loss(labels, logits))
    if not (np.isfinite(np.asarray(logits)).all() and math.isfinite(seen)):
      raise TrainingError(
        f'the loss of the untrained network is {seen}. '
        f'{nonfinite.first_bad_layer(model, pixels, labels, loss)} Look at the pixel statistics '
        'and, with weights of your own, at the weights.'
      )
  expected = float(loss(labels, np.zeros(labels.shape, np.float32)))
  lowest, highest = _usual_losses(model, loss, labels, expected)
  text = f'{seen:.4g} before the first step; {expected:.4g} is a loss of equal probabilities'
  if lowest <= seen <= highest:
    return Check('initial loss', True, f'{text}.')
  cause = (
    'The network answers confidently and wrongly: look at the scale of pixels and weights'
    if seen > expected
    else 'The network knows the answers already: look for a last layer that was trained before'
  )
  return Check(
    'initial loss', False, f'{text}, and {lowest:.3g} to {highest:.3g} is usual. {cause}.'
  )


def _usual_losses(
  model: keras.Model, loss: keras.losses.Loss, labels: np.ndarray, expected: float
) -> tuple[float, float]:
  """Returns the range of first losses that says nothing against a network.

  Twice as far from the expected loss as draws of random logits come, whose variance
  goes up to 2 / (1 - dropout). That is what Glorot's initialisation makes of features
  of mean square 1: D weights a logit, each of variance 2 / (D + K), and dropout
  divides what it keeps by the share that it keeps.
  """
  rates = [
    layer.rate for layer in model._flatten_layers() if isinstance(layer, keras.layers.Dropout)
  ]
  widest = math.sqrt(2 / (1 - max(rates, default=0.0)))
  rng = np.random.default_rng(0)
  drawn = [
    float(loss(labels, rng.normal(0, spread, labels.shape).astype(np.float32)))
    for spread in np.linspace(0, widest, _DRAWS)
  ]
  return expected - 2 * (expected - min(drawn)), expected + 2 * (max(drawn) - expected)


class _Learner:
  """One traced step: the loss, every gradient, and an update by Adam.

  The loss is blended from the one of training, which has to reach every variable, and
  plain cross-entropy, which can reach 0 where a smoothed one cannot.
  """

  def __init__(self, model: keras.Model, loss: keras.losses.Loss, shape: tuple, classes: int):
    self.variables = model.trainable_variables
    self.without_gradient: list[keras.Variable] = []
    self._model = model
    self._loss = loss
    half = any(layer.compute_dtype == 'float16' for layer in model._flatten_layers())
    self._scale = _LOSS_SCALE if half else 1.0
    # A name of its own leaves the numbers in Keras' names to the real optimizer.
    self._optimizer = keras.optimizers.Adam(RATES[0], name='preflight')
    self._optimizer.build(self.variables)
    self._fresh = [variable.numpy() for variable in self._optimizer.variables]
    signature = [tf.TensorSpec(shape, tf.float32), tf.TensorSpec((shape[0], classes), tf.float32)]
    self.step = tf.function(
      self._step,
      input_signature=[*signature, tf.TensorSpec([], tf.float32)],
      autograph=False,
    )

  def restart(self, rate: float) -> None:
    """Forgets the optimizer's moments; the weights are another's business."""
    for variable, value in zip(self._optimizer.variables, self._fresh, strict=True):
      variable.assign(value)
    self._optimizer.learning_rate = rate

  def _step(self, pixels: tf.Tensor, labels: tf.Tensor, plain: tf.Tensor) -> tuple:
    """Returns cross-entropy, hits and the largest magnitude of each variable's gradient."""
    with tf.GradientTape() as tape:
      logits = self._model(pixels, training=True)
      entropies = tf.nn.softmax_cross_entropy_with_logits(labels, tf.cast(logits, tf.float32))
      entropy = tf.reduce_mean(entropies)
      # Not tf.where: it would multiply a slope of the other one that is not finite by 0.
      target = tf.cond(plain > 0, lambda: entropy, lambda: self._loss(labels, logits))
      target *= self._scale
    gradients = tape.gradient(target, [variable.value for variable in self.variables])
    # Python, at the one tracing: where there is no path there is no tensor.
    pairs = list(zip(gradients, self.variables, strict=True))
    self.without_gradient = [variable for gradient, variable in pairs if gradient is None]
    gradients = [
      tf.zeros_like(variable.value) if gradient is None else gradient / self._scale
      for gradient, variable in pairs
    ]
    largest = tf.stack([tf.reduce_max(tf.abs(gradient)) for gradient in gradients])
    self._optimizer.apply(gradients, self.variables)
    hits = tf.equal(tf.argmax(labels, -1), tf.argmax(logits, -1))
    return entropy, tf.reduce_sum(tf.cast(hits, tf.int32)), largest


def _learning(
  model: keras.Model,
  loss: keras.losses.Loss,
  read_batch: Callable[[], tuple[np.ndarray, np.ndarray]],
  pixels: np.ndarray,
  labels: np.ndarray,
) -> list[Check]:
  """Takes steps on a few images: each variable's gradient, and whether they are learnt.

  Everything is trainable here, also what the first stage freezes: over a frozen network
  of random weights a last layer alone need not get there. BatchNorm uses the batch's
  statistics, and dropout is off: both would blur what these few images can show.
  """
  chosen = _choose(pixels, labels)
  for layer in model._flatten_layers():
    # Each for itself: a flag that a model has already is not passed on to its layers.
    layer.trainable = True
  quiet = [
    (layer, attribute, getattr(layer, attribute))
    for layer in model._flatten_layers()
    for kind, attribute in _NOISE.items()
    if isinstance(layer, kind)
  ]
  for layer, attribute, _ in quiet:
    setattr(layer, attribute, 0.0)
  try:
    learner = _Learner(model, loss, pixels[chosen].shape, labels.shape[1])
    return _learn(model, learner, read_batch, labels, chosen)
  finally:
    for layer, attribute, value in quiet:
      setattr(layer, attribute, value)


def _choose(pixels: np.ndarray, labels: np.ndarray) -> np.ndarray:
  """Returns positions of up to 10 different images, one class after the other in turn."""
  queues: dict[int, list[int]] = {}
  seen = set()
  for index, image in enumerate(pixels):
    content = image.tobytes()
    if content not in seen:
      seen.add(content)
      queues.setdefault(int(labels[index].argmax()), []).append(index)
  chosen: list[int] = []
  while len(chosen) < TINY and any(queues.values()):
    for queue in queues.values():
      chosen += queue[:1]
      del queue[:1]
  return np.array(sorted(chosen[:TINY]))


@dataclasses.dataclass
class _Attempt:
  """Losses and hits by step, and the largest gradient of each variable over all of them."""

  losses: list[float]
  hits: list[int]
  largest: np.ndarray
  out_of_time: bool = False

  def learnt(self, images: int) -> bool:
    return self.losses[-1] <= LEARNT and self.hits[-1] == images


def _learn(
  model: keras.Model,
  learner: _Learner,
  read_batch: Callable[[], tuple[np.ndarray, np.ndarray]],
  labels: np.ndarray,
  chosen: np.ndarray,
) -> list[Check]:
  shares = labels[chosen].mean(axis=0)
  classes = int((shares > 0).sum())
  reader = _Reader(read_batch, chosen)
  steps = STEPS if classes > 1 else 1
  deadline: float | None = None
  fresh = [variable.numpy() for variable in model.variables]
  attempts: list[_Attempt] = []
  for rate in RATES:
    for variable, value in zip(model.variables, fresh, strict=True):
      variable.assign(value)
    learner.restart(rate)
    attempt = _Attempt([], [], np.zeros(len(learner.variables)))
    attempts.append(attempt)
    while len(attempt.losses) < steps and not attempt.out_of_time:
      first = not attempt.losses and len(attempts) == 1
      entropy, hits, largest = learner.step(*reader.read(), np.float32(not first))
      if first:
        deadline = time.monotonic() + SECONDS
        _refuse_no_gradient(learner, largest.numpy())
      attempt.losses.append(float(entropy))
      attempt.hits.append(int(hits))
      attempt.largest = np.maximum(attempt.largest, largest.numpy())
      if attempt.learnt(len(chosen)) or not math.isfinite(attempt.losses[-1]):
        break
      attempt.out_of_time = deadline is not None and time.monotonic() > deadline
    if attempt.learnt(len(chosen)) or classes < 2 or attempt.out_of_time:
      break
  largest = np.max([attempt.largest for attempt in attempts], axis=0)
  return [
    _gradients(learner, largest, sum(len(attempt.losses) for attempt in attempts)),
    _tiny_batch(attempts, shares, len(chosen), classes),
  ]


class _Reader:
  """Reads the chosen images anew until that has taken long enough."""

  def __init__(self, read_batch: Callable[[], tuple[np.ndarray, np.ndarray]], chosen: np.ndarray):
    self._read_batch = read_batch
    self._chosen = chosen
    self._seconds = 0.0
    self._last: tuple[np.ndarray, np.ndarray] | None = None

  def read(self) -> tuple[np.ndarray, np.ndarray]:
    if self._last is None or self._seconds < READING_SECONDS:
      began = time.monotonic()
      pixels, labels = _read(self._read_batch)
      self._seconds += time.monotonic() - began
      self._last = pixels[self._chosen], labels[self._chosen]
    return self._last


def _refuse_no_gradient(learner: _Learner, largest: np.ndarray) -> None:
  if learner.without_gradient:
    paths = [variable.path for variable in learner.without_gradient]
    layers = list(dict.fromkeys(path.rpartition('/')[0] or path for path in paths))
    raise TrainingError(
      f'no gradient reaches {_some(layers)}: {_some(paths)}, {len(paths)} of '
      f'{len(learner.variables)} trainable variables. The loss does not depend on them: look for '
      'a layer whose output is not used, or for stop_gradient after it.'
    )
  bad = np.flatnonzero(~np.isfinite(largest))
  if bad.size:
    raise TrainingError(
      f'the first gradient is not finite at {_some([learner.variables[i].path for i in bad])}. '
      'The loss is finite: look for a square root, a division or a norm at 0 on the way back.'
    )
  if not largest.any():
    raise TrainingError(
      'the first gradient is 0 at every trainable variable: the loss does not depend on the '
      'network. Look at the loss, and for stop_gradient before the last layer.'
    )


def _gradients(learner: _Learner, largest: np.ndarray, steps: int) -> Check:
  """Names variables whose gradient was 0 at every step.

  Zero at the first step alone is no fault: behind a gate or a last layer that starts at
  0 it is, and opens with the first update. Zero throughout is one only most of the
  time (a bias just before BatchNorm has none by its nature), so it is a warning.
  """
  count = len(learner.variables)
  dead = [learner.variables[i].path for i in np.flatnonzero(largest == 0)]
  if not dead:
    return Check('gradients', True, f'All {count} trainable variables receive one.')
  return Check(
    'gradients',
    False,
    f'0 in each of {steps} steps at {_some(dead)}, {len(dead)} of {count} trainable variables: '
    'these stay as they are. Dead ReLUs look like this, and a bias just before BatchNorm.',
  )


def _tiny_batch(attempts: list[_Attempt], shares: np.ndarray, images: int, classes: int) -> Check:
  """Judges how well the few images were learnt.

  A network that is blind to the images, or whose labels change from reading to reading,
  comes no lower than the entropy of the labels. Whoever is not below half of it has not
  begun to learn them.
  """
  last = attempts[-1]
  name = 'tiny batch'
  if classes < 2:
    return Check(
      name,
      False,
      f'Not tried: the first images are all of one class ({images} different ones). The records '
      'may be sorted by class; expected: an order by chance.',
    )
  steps = len(last.losses)
  text = (
    f'{images} images of {classes} classes: cross-entropy from {last.losses[0]:.3g} to '
    f'{last.losses[-1]:.2g} in {steps} steps, {last.hits[-1]} of {images} right'
  )
  if last.learnt(images):
    return Check(name, True, f'{text}.')
  if last.out_of_time and sum(len(attempt.losses) for attempt in attempts) < ENOUGH_STEPS:
    # Half of the way says enough about a large network on a slow machine.
    fell = last.losses[-1] < last.losses[0] / 2
    return Check(name, fell, f'{text}, when the {SECONDS:.0f} s for it were over.')
  blind = -float(np.sum(shares[shares > 0] * np.log(shares[shares > 0])))
  reached = min(float(np.median(attempt.losses[-5:])) for attempt in attempts)
  rates = ', '.join(f'{rate:g}' for rate in RATES[: len(attempts)])
  if not reached < blind / 2:
    raise TrainingError(
      f'a tiny batch is not learnt. {text}, with Adam at {rates}; expected: below {LEARNT}. '
      f'{blind:.3g} is what a network reaches that does not see the images. Look for images and '
      'labels that come apart, for pixels that are scrambled, and at build_fn of your own.'
    )
  return Check(name, False, f'{text}, with Adam at {rates}; below {LEARNT} is usual.')


def _some(names: Sequence[str]) -> str:
  more = len(names) - _LISTED
  return ', '.join(names[:_LISTED]) + (f' and {more} more' if more > 0 else '')
