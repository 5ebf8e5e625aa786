"""Accuracy and flips under changes, of a model that answers by mean brightness."""

import io

import numpy as np
import pytest
from PIL import Image

from components.analysis import changes, directional, robustness
from components.analysis.asking import Answers
from schemas.config import AugmentConfig, ImageConfig

INPUT = ImageConfig(height=8, width=8)
LIMIT = 128


def pixels_of(encoded):
  return np.asarray(Image.open(io.BytesIO(encoded)).convert('RGB'), np.float64)


def by_brightness(encoded):
  """Class 1 is a bright picture; as sure as its mean is far from the limit."""
  means = np.array([pixels_of(one).mean() for one in encoded])
  far = np.abs(means - LIMIT) / 255
  return Answers((means >= LIMIT).astype(np.int64), (0.5 + far).astype(np.float32), far < 0.2)


def flat(grey, height=10, width=14):
  return np.full((height, width, 3), grey, np.uint8)


ENCODINGS = [
  one
  for one in changes.harmless(AugmentConfig(), True)
  if one.name in ('re-encoded as PNG', 'JPEG quality 95')
]
GREYS = (20, 90, 120, 135, 160, 250)


@pytest.fixture
def asked():
  truth = np.array([0, 0, 0, 1, 1, 0])  # the last label is wrong
  stored = np.array([0, 0, 0, 1, 1, 1])
  return robustness.Asked([f'id-{grey}' for grey in GREYS], truth, stored, np.full(6, 0.9))


def measured(asked, steps, pictures=None):
  shown = pictures or [(place, flat(grey)) for place, grey in enumerate(GREYS)]
  return robustness.measure(asked, shown, steps, by_brightness, INPUT, 0)


def brighter(by):
  return changes.Change(
    'brightness', 1, f'{by} up', lambda one: changes.png(one.pixels + np.uint8(by))
  )


def test_accuracy_and_flips_by_hand(asked):
  # 40 more: 20 and 90 come to 60 and 130, 120 to 160; what was bright stays so, or wraps round.
  unchanged, found = measured(asked, [brighter(40)])
  assert unchanged.right.tolist() == [True] * 5 + [False]
  assert found.flipped.tolist() == [False, True, True, False, False, True]
  assert found.right.tolist() == [True, False, False, True, True, True]
  rows = robustness.robustness_rows([unchanged, found])
  assert [(row['change'], row['severity'], row['amount']) for row in rows] == [
    ('brightness', 0, 'unchanged'),
    ('brightness', 1, '40 up'),
  ]
  assert rows[0]['accuracy']['value'] == pytest.approx(5 / 6)
  assert rows[0]['flipped']['value'] == 0
  assert rows[1]['accuracy']['value'] == pytest.approx(4 / 6)
  assert rows[1]['flipped'] == {
    # Wilson's interval of 3 in 6.
    'value': 0.5,
    'n': 6,
    'interval': pytest.approx([0.1876, 0.8124], abs=1e-4),
  }


def test_the_order_of_the_pictures_does_not_matter(asked):
  steps = [one for one in changes.robustness() if one.name in ('noise', 'brightness')]
  shown = [(place, flat(grey)) for place, grey in enumerate(GREYS)]
  one, other = measured(asked, steps, shown), measured(asked, steps, shown[::-1])
  for first, second in zip(one, other, strict=True):
    np.testing.assert_array_equal(first.probability, second.probability)
    np.testing.assert_array_equal(first.right, second.right)


def test_harmless_changes_are_rows_of_their_own(asked):
  outcomes = measured(asked, [brighter(40), *ENCODINGS])
  rows = {row['change']: row['flipped'] for row in robustness.harmless_rows(outcomes)}
  assert set(rows) == {'re-encoded as PNG', 'JPEG quality 95'}
  assert rows['re-encoded as PNG']['value'] == 0 and rows['re-encoded as PNG']['n'] == 6


def test_a_large_picture_is_made_smaller_and_what_that_does_is_told(asked):
  large = [(0, flat(20, 700, 900)), (1, flat(90))]
  shapes = []
  step = changes.Change(
    'look', 1, '', lambda one: shapes.append(one.pixels.shape) or changes.png(one.pixels)
  )
  two = robustness.Asked(
    asked.image_id[:2], asked.label_id[:2], asked.stored[:2], asked.probability[:2]
  )
  outcomes = measured(two, [step, *ENCODINGS], large)
  # At most twice the input, and at least 256 pixels.
  assert shapes == [(199, 256, 3), (10, 14, 3)]
  rows = {row['change']: row['flipped']['n'] for row in robustness.harmless_rows(outcomes)}
  assert rows == {'re-encoded as PNG': 2, 'JPEG quality 95': 2, robustness.REDUCED: 1}


def test_of_large_pictures_so_many_pixels_are_encoded_as_they_are(asked, monkeypatch):
  monkeypatch.setattr(robustness, '_WHOLE_PIXELS', 500)
  outcomes = measured(asked, ENCODINGS)
  rows = {row['change']: row['flipped']['n'] for row in robustness.harmless_rows(outcomes)}
  # 140 pixels each: three of them are 420, a fourth would be too many.
  assert rows == {'re-encoded as PNG': 3, 'JPEG quality 95': 6}


def test_images_are_drawn_evenly_over_the_classes():
  labels = np.repeat([0, 1, 2], [50, 5, 2])
  chosen = robustness.draw(labels, 12, 0)
  assert np.bincount(labels[chosen]).tolist() == [5, 5, 2]
  assert chosen.tolist() == sorted(set(chosen.tolist()))
  np.testing.assert_array_equal(chosen, robustness.draw(labels, 12, 0))
  assert chosen.tolist() != robustness.draw(labels, 12, 1).tolist()
  assert len(robustness.draw(labels, 1000, 0)) == 57


def outcome(name, severity, right):
  right = np.array(right, bool)
  return robustness.Outcome(name, severity, '', right, ~right, np.zeros(len(right)))


def test_a_rise_beyond_chance_is_seen_and_one_by_chance_is_not():
  start = outcome('unchanged', 0, [1] * 10 + [0] * 10)
  few = outcome('noise', 1, [1] * 13 + [0] * 7)
  # 3 right and none wrong: 0.5 ** 3 is 0.125. 10 of 10 in the one step: 0.001, below 0.05 / 2.
  assert directional.never_better([start, few], 'noise')['holds'] is True
  many = outcome('noise', 2, [1] * 20)
  low = outcome('noise', 1, [1] * 10 + [0] * 10)
  found = directional.never_better([start, low, many], 'noise')
  assert found['holds'] is False
  assert '0.500, 0.500, 1.000' in found['found'] and 'p 0.00098' in found['found']
  # Of another kind it says nothing.
  assert directional.never_better([start, low, outcome('blur', 1, [1] * 20)], 'noise')['holds']


def test_a_model_that_sees_only_the_mean_does_not_fade():
  shown = [flat(20), flat(250)]
  unchanged = np.array([0.5 + 108 / 255, 0.5 + 122 / 255])
  found = directional.fades(unchanged, shown, by_brightness)
  assert found['holds'] is False
  assert found['found'].startswith('0.951 unchanged; 0.951, 0.951, 0.951 at a sigma of 3%')


def test_a_model_that_looks_at_contrast_fades():
  def by_contrast(encoded):
    deviations = np.array([pixels_of(one).std() for one in encoded])
    probability = 0.5 + deviations / 255
    return Answers(np.zeros(len(encoded), np.int64), probability, probability < 0.6)

  board = np.kron(np.indices((4, 4)).sum(0) % 2, np.ones((6, 6)))[..., None] * [255, 255, 255]
  found = directional.fades(np.array([1.0]), [board.astype(np.uint8)], by_contrast)
  assert found['holds'] is True
  assert found['found'].startswith('1.000 unchanged') and '0.500 of the mean' in found['found']
  grey = directional.sure_of_nothing(INPUT, ['a', 'b'], by_contrast)
  assert grey['holds'] is True and '128 of 255: a at 0.500, flagged' in grey['found']


def test_one_grey_that_is_not_flagged_is_enough():
  found = directional.sure_of_nothing(INPUT, ['dark', 'bright'], by_brightness)
  # 64 is 0.25 of the range below the limit, and 192 as far above it.
  assert found['holds'] is False
  assert '64 of 255: dark at 0.751, not flagged' in found['found']
  assert '128 of 255: bright at 0.500, flagged' in found['found']
