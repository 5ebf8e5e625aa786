"""How the answers about test images change with the pictures: harmful changes and harmless ones."""

import dataclasses
import hashlib
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from PIL import Image

from components.analysis import changes
from components.analysis.asking import Answers, Ask
from components.evaluator import metrics
from schemas.config import ImageConfig

# Pictures whose changed copies are in memory at a time.
_AT_ONCE = 64
# The longer side of a picture that is changed, in sides of the network's input: what more
# there is the network does not see, and blurring 12 megapixels 35 times takes a minute.
_SIDES = 2
_LEAST_SIDE = 256
# Of larger pictures so many pixels in all are encoded again as they are.
_WHOLE_PIXELS = 60_000_000
REDUCED = 'made smaller'


@dataclasses.dataclass(frozen=True)
class Asked:
  """Test images that are asked about, in one order.

  Attributes:
    image_id: N ids.
    label_id: int64 [N], the truth.
    stored: int64 [N], what the model answered in the evaluation.
    probability: float64 [N], of that answer.
  """

  image_id: list[str]
  label_id: np.ndarray
  stored: np.ndarray
  probability: np.ndarray


@dataclasses.dataclass(frozen=True)
class Outcome:
  """What was answered about the pictures under one change; arrays as Asked has them.

  Attributes:
    name: of the change.
    severity: 1 to 5; 0 for unchanged pictures and for harmless changes.
    amount: in words.
    right: bool [n].
    flipped: bool [n], another answer than about the unchanged picture.
    probability: float64 [n], of the answer.
  """

  name: str
  severity: int
  amount: str
  right: np.ndarray
  flipped: np.ndarray
  probability: np.ndarray


def draw(label_ids: np.ndarray, count: int, seed: int) -> np.ndarray:
  """Draws images evenly over the classes: of each one, then of each a second one, ...

  Args:
    label_ids: int [N].
    count: how many, at most.
    seed: another one draws others.

  Returns:
    int [min(count, N)], sorted positions.
  """
  shuffled = np.random.default_rng(seed).permutation(len(label_ids))
  turn: np.ndarray = np.zeros(len(label_ids), np.int64)
  for label in np.unique(label_ids):
    members = shuffled[label_ids[shuffled] == label]
    turn[members] = np.arange(len(members))
  order = shuffled[np.argsort(turn[shuffled], kind='stable')]
  return np.sort(order[:count])


def measure(
  asked: Asked,
  pictures: Iterable[tuple[int, np.ndarray]],
  steps: Sequence[changes.Change],
  ask: Ask,
  image: ImageConfig,
  seed: int,
) -> list[Outcome]:
  """Asks about every picture under every change.

  Args:
    asked: N images.
    pictures: position in `asked`, and uint8 [h, w, 3]: each image once, in any order.
    steps: the changes.
    ask: the model.
    image: size of the network's input.
    seed: of noise and directions; what an image gets depends on it and on its id alone.

  Returns:
    The unchanged pictures first, by the stored answers, then one outcome a change, and
    last, where pictures were made smaller before, what that alone did.
  """
  collected: dict[int, list[tuple[np.ndarray, Answers]]] = {}
  whole = _WHOLE_PIXELS
  for batch in _batches(pictures):
    smaller = {place: reduced(pixels, image) for place, pixels in batch}
    ready = {
      place: _picture(pixels, image, asked.image_id[place], seed)
      for place, pixels in smaller.items()
    }
    for number, step in enumerate(steps):
      chosen = ready
      if step.name == 're-encoded as PNG':
        chosen, whole = _as_they_are(batch, ready, whole)
      _ask(collected, number, chosen, step, ask)
    made = {place: ready[place] for place, pixels in batch if smaller[place].shape != pixels.shape}
    _ask(collected, len(steps), made, _MADE_SMALLER, ask)
  outcomes = [_unchanged(asked)]
  for number, step in enumerate((*steps, _MADE_SMALLER)):
    if number in collected:
      outcomes.append(_outcome(step, collected[number], asked))
  return outcomes


_MADE_SMALLER = changes.Change(
  REDUCED,
  0,
  'before every other change, to at most twice the input',
  lambda picture: changes.png(picture.pixels),
)


def robustness_rows(outcomes: Sequence[Outcome]) -> list[dict]:
  """Returns rows of analysis.json: severity 0 of each kind, then 1 to 5."""
  unchanged, rows = outcomes[0], []
  for outcome in outcomes:
    if outcome.severity == 1:
      rows.append({'change': outcome.name, **_row(unchanged)})
    if outcome.severity:
      rows.append({'change': outcome.name, **_row(outcome)})
  return rows


def harmless_rows(outcomes: Sequence[Outcome]) -> list[dict]:
  """Returns rows of analysis.json: the share of changed answers."""
  return [
    {'change': outcome.name, 'amount': outcome.amount, 'flipped': _share(outcome.flipped)}
    for outcome in outcomes[1:]
    if not outcome.severity
  ]


def _row(outcome: Outcome) -> dict:
  return {
    'severity': outcome.severity,
    'amount': outcome.amount,
    'accuracy': _share(outcome.right),
    'flipped': _share(outcome.flipped),
  }


def _share(found: np.ndarray) -> dict:
  return metrics.proportion(int(found.sum()), len(found))


def _unchanged(asked: Asked) -> Outcome:
  nothing: np.ndarray = np.zeros(len(asked.stored), bool)
  right = asked.stored == asked.label_id
  return Outcome('unchanged', 0, 'unchanged', right, nothing, asked.probability)


def _ask(
  collected: dict[int, list[tuple[np.ndarray, Answers]]],
  number: int,
  pictures: dict[int, changes.Picture],
  step: changes.Change,
  ask: Ask,
) -> None:
  if pictures:
    answers = ask([step.encode(picture) for picture in pictures.values()])
    collected.setdefault(number, []).append((np.array(list(pictures)), answers))


def _outcome(
  step: changes.Change, parts: list[tuple[np.ndarray, Answers]], asked: Asked
) -> Outcome:
  places = np.concatenate([places for places, _ in parts])
  answered = np.concatenate([answers.class_id for _, answers in parts])
  probability = np.concatenate([answers.probability for _, answers in parts])
  order = np.argsort(places)
  places, answered = places[order], answered[order]
  return Outcome(
    step.name,
    step.severity,
    step.amount,
    answered == asked.label_id[places],
    answered != asked.stored[places],
    probability[order].astype(np.float64),
  )


def _batches(
  pictures: Iterable[tuple[int, np.ndarray]],
) -> Iterator[list[tuple[int, np.ndarray]]]:
  batch: list[tuple[int, np.ndarray]] = []
  for one in pictures:
    batch.append(one)
    # Pictures of a camera are few at a time: they are kept as they are.
    if len(batch) == _AT_ONCE or sum(pixels.size for _, pixels in batch) > _WHOLE_PIXELS:
      yield batch
      batch = []
  if batch:
    yield batch


def reduced(pixels: np.ndarray, image: ImageConfig) -> np.ndarray:
  """Makes a picture smaller that is larger than twice the network's input, or 256 pixels."""
  height, width = pixels.shape[:2]
  factor = max(_SIDES * max(image.height, image.width), _LEAST_SIDE) / max(height, width)
  if factor >= 1:
    return pixels
  size = (max(1, round(width * factor)), max(1, round(height * factor)))
  return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR))


def _picture(pixels: np.ndarray, image: ImageConfig, name: str, seed: int) -> changes.Picture:
  drawn = hashlib.sha256(f'{seed} {name}'.encode()).digest()
  height, width = pixels.shape[:2]
  ratio = min(height / image.height, width / image.width)
  return changes.Picture(
    pixels, ratio, 1 if drawn[0] & 1 else -1, int.from_bytes(drawn[1:9], 'big')
  )


def _as_they_are(
  batch: list[tuple[int, np.ndarray]], ready: dict[int, changes.Picture], left: int
) -> tuple[dict[int, changes.Picture], int]:
  """Returns the pictures in their own size, as far as there are pixels left, and what is left."""
  chosen = {}
  for place, pixels in batch:
    left -= pixels.shape[0] * pixels.shape[1]
    if left >= 0:
      chosen[place] = dataclasses.replace(ready[place], pixels=pixels)
  return chosen, left
