import collections
import math
import random

import pytest

from components.image_example_gen import split
from schemas import features
from schemas.config import SplitConfig
from schemas.errors import DataError

SHARES = {'train': 0.8, 'val': 0.1, 'test': 0.1}


def _tallies(sizes, fixed=None):
  fixed = fixed or {}
  return {label: split.Tally(size, fixed.get(label, {})) for label, size in sizes.items()}


def test_ten_images_by_hand():
  assert split.quotas(_tallies({'a': 10}), SplitConfig()) == {
    'a': {'train': 8, 'val': 1, 'test': 1}
  }


@pytest.mark.parametrize('seed', range(20))
def test_each_class_is_within_one_image_and_the_whole_is_near_its_shares(seed):
  draw = random.Random(seed)
  sizes = {f'class{number}': draw.randint(3, 120) for number in range(draw.randint(2, 60))}
  shares = [draw.uniform(0.5, 0.9)]
  shares += [(1 - shares[0]) * 0.6, (1 - shares[0]) * 0.4]
  config = SplitConfig(**dict(zip(features.SPLITS, shares, strict=True)))
  quotas = split.quotas(_tallies(sizes), config)
  for label, size in sizes.items():
    assert sum(quotas[label].values()) == size
    for name, share in zip(features.SPLITS, shares, strict=True):
      target = share * size
      assert quotas[label][name] in (math.floor(target + 1e-9), math.ceil(target - 1e-9))
  total = sum(sizes.values())
  for name, share in zip(features.SPLITS, shares, strict=True):
    # Rounding each class alone would be off by up to half of their number.
    assert abs(sum(quota[name] for quota in quotas.values()) - share * total) <= 2


def test_three_classes_of_three_leave_no_split_empty():
  quotas = split.quotas(_tallies({'a': 3, 'b': 3, 'c': 3}), SplitConfig())
  assert {name: sum(quota[name] for quota in quotas.values()) for name in features.SPLITS} == {
    'train': 7,
    'val': 1,
    'test': 1,
  }


def test_a_class_of_two_goes_to_train():
  tallies = _tallies({'a': 100, 'b': 2, 'c': 1})
  quotas = split.quotas(tallies, SplitConfig())
  assert quotas['b'] == {'train': 2, 'val': 0, 'test': 0}
  assert quotas['c'] == {'train': 1, 'val': 0, 'test': 0}
  assert split.small_classes(tallies) == ['b', 'c']


@pytest.mark.parametrize(
  ('fixed', 'expected'),
  [
    # 100 images: 80/10/10 are wanted.
    ({'train': 40, 'val': 5, 'test': 5}, {'train': 40, 'val': 5, 'test': 5}),
    ({'train': 80}, {'train': 0, 'val': 10, 'test': 10}),
    # Train has 10 too many; val and test share what they cannot have.
    ({'train': 90}, {'train': 0, 'val': 5, 'test': 5}),
    # 60 are free where 80 + 10 are wanted: 15 less each, and val cannot have -5.
    ({'test': 40}, {'train': 60, 'val': 0, 'test': 0}),
  ],
)
def test_free_images_bring_a_class_nearest_to_its_shares(fixed, expected):
  size = 100
  free = size - sum(fixed.values())
  given = split.quotas(_tallies({'a': size}, {'a': fixed}), SplitConfig())['a']
  assert sum(given.values()) == free
  assert given == expected


@pytest.mark.parametrize('seed', range(10))
def test_no_other_way_to_place_the_free_images_is_nearer(seed):
  draw = random.Random(seed)
  fixed = {name: draw.randint(0, 9) for name in features.SPLITS}
  free = draw.randint(0, 9)
  total = sum(fixed.values()) + free
  if total < 3:
    pytest.skip('a small class')

  def distance(given):
    return sum((fixed[name] + given[name] - SHARES[name] * total) ** 2 for name in features.SPLITS)

  given = split.quotas(_tallies({'a': total}, {'a': fixed}), SplitConfig())['a']
  best = min(
    distance({'train': free - val - test, 'val': val, 'test': test})
    for val in range(free + 1)
    for test in range(free + 1 - val)
  )
  assert distance(given) == pytest.approx(best)


def test_assign_fills_the_quotas_in_order():
  rows = [(number, 'a') for number in range(4)] + [(number, 'b') for number in range(4, 6)]
  assigned = list(
    split.assign(
      rows, {'a': {'train': 2, 'val': 1, 'test': 1}, 'b': {'train': 0, 'val': 1, 'test': 1}}
    )
  )
  assert assigned == [(0, 'train'), (1, 'train'), (2, 'val'), (3, 'test'), (4, 'val'), (5, 'test')]


def test_the_order_depends_on_seed_and_image_alone():
  assert split.order_key(0, 'x') == split.order_key(0, 'x')
  assert len({split.order_key(seed, image) for seed in range(3) for image in 'xyz'}) == 9
  # Without a pattern: about as many of 1,000 images sort below the middle as above it.
  low = collections.Counter(split.order_key(0, str(number))[0] < 128 for number in range(1000))
  assert 430 < low[True] < 570


def test_an_empty_split_says_what_to_do():
  with pytest.raises(DataError, match='none in test, of 4 images at 80/10/10 %. Add images'):
    split.check_splits({'train': 3, 'val': 1}, SplitConfig())
  split.check_splits({'train': 3, 'val': 1, 'test': 1}, SplitConfig())


def test_classes_that_train_lacks_are_counted():
  counts = {'train': {'a': 5}, 'val': {'a': 1, 'c': 2, 'b': 1}, 'test': {'a': 1, 'b': 3}}
  assert split.without_train(counts) == {'b': 4, 'c': 2}
  # What was served is scored, not learnt.
  assert split.without_train({**counts, 'production': {'b': 2, 'z': 9}}) == {'b': 4, 'c': 2}
