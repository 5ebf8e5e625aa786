"""The comparison by numbers that were counted by hand."""

import math

import numpy as np
import pytest

from models.formats import parity
from schemas.errors import ExportError


def outputs(count=4):
  probabilities = np.tile(np.array([[0.7, 0.2, 0.1]], np.float32), (count, 1))
  return {
    'probabilities': probabilities,
    'class_id': np.zeros(count, np.int64),
    'probability': probabilities[:, 0],
    'label': np.array([b'a'] * count, object),
    'low_confidence': np.zeros(count, bool),
    'ood_score': np.full(count, 4, np.float32),
    'foreign': np.ones(count, bool),
  }


def changed(count=4, **changes):
  found = outputs(count)
  for name, (place, value) in changes.items():
    found[name] = found[name].copy()
    found[name][place] = value
  return found


def test_equal_answers_are_equal_and_names_are_not_looked_at():
  received = outputs()
  del received['label']
  found = parity.compare(outputs(), received)
  assert (found.images, found.max_difference, found.agreement) == (4, 0.0, 4)
  assert found.flags == {'low_confidence': 0, 'foreign': 0}
  parity.check(found, 1e-9, 'x')


def test_what_differs_is_counted():
  received = changed(
    probabilities=((2, 1), 0.25), class_id=(3, 1), foreign=(0, False), ood_score=(1, 4.8)
  )
  found = parity.compare(outputs(), received)
  assert found.max_difference == pytest.approx(0.05, abs=1e-6)
  assert (found.worst, found.agreement) == (2, 3)
  assert found.flags == {'low_confidence': 0, 'foreign': 1}
  assert found.ood_difference == pytest.approx(0.8 / 4, abs=1e-6)
  assert 'the same class on 3; flags that differ: foreign on 1' in found.in_words()


@pytest.mark.parametrize(
  'received',
  [
    changed(probabilities=((2, 1), 0.2002)),
    changed(probabilities=((0, 0), math.nan)),
    changed(ood_score=(1, 4.1)),
    changed(class_id=(3, 1)),
    changed(low_confidence=(0, True)),
    changed(foreign=(0, False)),
  ],
  ids=['probability', 'no number', 'ood_score', 'class', 'low_confidence', 'foreign'],
)
def test_each_of_them_refuses_the_format(received):
  found = parity.compare(outputs(), received)
  with pytest.raises(ExportError, match='format x: expected .* Nothing was written'):
    parity.check(found, 1e-4, 'format x')


def test_within_the_limit_and_one_flag_in_a_hundred_pass():
  received = changed(100, probabilities=((2, 1), 0.20005), foreign=(7, False))
  parity.check(parity.compare(outputs(100), received), 1e-4, 'x')
  with pytest.raises(ExportError, match='foreign on 2'):
    received['foreign'][8] = False
    parity.check(parity.compare(outputs(100), received), 1e-4, 'x')


def test_a_missing_output_another_shape_and_no_image_are_errors():
  received = outputs()
  del received['ood_score']
  with pytest.raises(ExportError, match='the output ood_score of shape.*Received: none'):
    parity.compare(outputs(), received)
  with pytest.raises(ExportError, match=r'Received: \(3, 3\)'):
    parity.compare(outputs(), outputs(3))
  with pytest.raises(ExportError, match='one image at least'):
    parity.compare(outputs(0), outputs(0))
