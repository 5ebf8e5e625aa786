"""The split by time, on rows without files; its order is asserted from what was decided."""

import datetime
import random

import pytest

from components.image_example_gen import time_split
from components.image_example_gen.rows import Row
from schemas.config import SplitConfig
from schemas.errors import DataError

BY_TIME = {'columns': ('taken', 'patient'), 'split': SplitConfig(time_column='taken')}


def _rows(times, labels='ab', **more):
  return [
    {
      'filename': f'{number:04d}.png',
      'label': labels[number % len(labels)],
      'taken': time,
      **more.get(f'_{number:04d}', {}),
    }
    for number, time in enumerate(times)
  ]


def _check_order(result):
  """Asserts that everything in train is older than everything that judges."""
  times = {
    name: [row['time'] for row in result.rows.values() if row['split'] == name]
    for name in ('train', 'val', 'test')
  }
  assert all(times.values())
  assert max(times['train']) < min(times['val'])
  assert max(times['train']) < min(times['test'])


def _day(number):
  return (datetime.date(2024, 1, 1) + datetime.timedelta(number)).isoformat()


def test_the_earliest_are_train_and_the_latest_test(source):
  days = [_day(number) for number in range(100)]
  random.Random(3).shuffle(days)
  result = source.place(_rows(days), **BY_TIME)
  expected = {
    day: 'train' if n < 80 else 'val' if n < 90 else 'test' for n, day in enumerate(sorted(days))
  }
  assert result.splits == {f'{n:04d}.png': expected[day] for n, day in enumerate(days)}
  _check_order(result)


def test_images_of_one_time_are_not_divided(source):
  # 30 images on each of four days: 80 % is nearest after the third, and val must be
  # left one day, so test and val take the last two.
  result = source.place(_rows([_day(n // 30) for n in range(120)]), **BY_TIME)
  assert [result.splits[f'{n:04d}.png'] for n in (0, 30, 60, 90)] == [
    'train',
    'train',
    'val',
    'test',
  ]
  _check_order(result)


@pytest.mark.parametrize(
  ('early', 'late'),
  [
    ('9', '10'),
    ('-1.5', '2e3'),
    # Of more than 53 bits: as floats they would be equal.
    ('1700000000000000001', '1700000000000000002'),
    ('2024-02-29', '2024-03-01T00:00:01'),
    ('2024-01-01T12:00:00.000001', '2024-01-01T12:00:00.000002'),
    # The second is later, although it reads as earlier.
    ('2024-01-01T12:00:00+02:00', '2024-01-01T11:00:00Z'),
  ],
)
def test_times_are_read_as_they_are_meant(early, late):
  clock = time_split.Clock('labels.csv', 'taken', 0)
  first, second = (clock(Row(2, 'a.png', 'x', columns=(text,))) for text in (early, late))
  assert first < second


@pytest.mark.parametrize('text', ['', 'yesterday', 'nan', 'inf', '2024-13-01', '1' * 400 + '.5'])
def test_what_is_no_time_names_row_and_value(text):
  clock = time_split.Clock('labels.csv', 'taken', 1)
  with pytest.raises(DataError) as error:
    clock(Row(7, 'a.png', 'x', columns=('', text)))
  assert 'labels.csv row 7' in str(error.value)
  assert f"{text!r} for 'a.png'" in str(error.value)


@pytest.mark.parametrize(
  ('first', 'second', 'kind'),
  [
    ('2024-01-01', '12', 'a date'),
    ('12', '2024-01-01', 'a number'),
    ('2024-01-01', '2024-01-01T00:00Z', 'a date'),
  ],
)
def test_times_are_all_of_one_kind(first, second, kind):
  clock = time_split.Clock('labels.csv', 'taken', 0)
  clock(Row(2, 'a.png', 'x', columns=(first,)))
  with pytest.raises(
    DataError, match=f"row 3: expected {kind} in column taken, as '{first}' in row"
  ):
    clock(Row(3, 'b.png', 'x', columns=(second,)))


def test_a_cluster_goes_with_its_latest_member_or_loses_the_earlier_ones(source):
  rows = _rows(
    [_day(n) for n in range(100)],
    # Within train; from val to test; from train to test.
    _0003={'patient': 'p1'},
    _0070={'patient': 'p1'},
    _0082={'patient': 'p2'},
    _0095={'patient': 'p2'},
    _0010={'patient': 'p3'},
    _0097={'patient': 'p3'},
  )
  result = source.place(rows, group_columns=('patient',), **BY_TIME)
  assert result.splits['0003.png'] == result.splits['0070.png'] == 'train'
  assert result.splits['0082.png'] == result.splits['0095.png'] == 'test'
  assert result.splits['0097.png'] == 'test'
  assert {name: one.reason for name, one in result.quarantined.items()} == {'0010.png': 'leak'}
  assert result.quarantined['0010.png'].detail == (
    'belongs together with 0097.png on the other side of the time at which train ends'
  )
  # What is left of p3 is alone.
  assert result.rows['0097.png']['cluster'] == ''
  assert result.summary['bad']['count'] == 0
  assert result.summary['leaks']['taken_out'] == 1
  assert any('1 images were taken out' in warning for warning in result.summary['warnings'])
  _check_order(result)


def test_a_member_follows_the_fixed_one_where_the_order_allows_it(source):
  rows = _rows(
    [_day(n) for n in range(100)],
    _0050={'patient': 'p1', 'split': 'train'},
    _0095={'patient': 'p1'},
    _0092={'patient': 'p2', 'split': 'val'},
    _0099={'patient': 'p2'},
    _0020={'patient': 'p2'},
  )
  result = source.place(rows, group_columns=('patient',), **BY_TIME)
  # After train's end, it cannot go to train; before it, not to val.
  assert set(result.quarantined) == {'0095.png', '0020.png'}
  assert result.splits['0099.png'] == 'val'
  _check_order(result)


def test_the_lock_holds_its_cut_offs(source):
  first = source.place(_rows([_day(n) for n in range(100)]), **BY_TIME)
  source.lock(first)
  later = _rows([_day(n) for n in range(160)])
  # One from among train, found late.
  later.append({'filename': 'late.png', 'label': 'a', 'taken': _day(5)})
  second = source.place(later, **BY_TIME)
  assert {name: second.splits[name] for name in first.splits} == first.splits
  assert {second.splits[f'{n:04d}.png'] for n in range(100, 160)} == {'test'}
  assert second.splits['late.png'] == 'train'
  assert any('train holds 50 %' in warning for warning in second.summary['warnings'])
  _check_order(second)


def test_given_rows_that_break_the_order_stop_the_run(source):
  rows = _rows([_day(n) for n in range(100)], _0060={'split': 'train'}, _0040={'split': 'test'})
  with pytest.raises(DataError) as error:
    source.place(rows, **BY_TIME)
  assert "'0060.png' in train (as given), which is not earlier than '0040.png'" in str(error.value)


def test_given_rows_bound_the_cut_offs(source):
  rows = _rows([_day(n) for n in range(100)], _0060={'split': 'val'}, _0095={'split': 'val'})
  result = source.place(rows, **BY_TIME)
  # 60 to train, though 80 are wanted; val reaches to 95.
  assert result.summary['splits'] == {'train': 60, 'val': 36, 'test': 4}
  _check_order(result)


def test_production_keeps_out_of_the_order(source):
  rows = _rows(
    [_day(n) for n in range(100)], _0001={'split': 'production'}, _0002={'split': 'production'}
  )
  result = source.place(rows, production=True, **BY_TIME)
  assert result.summary['splits']['production'] == 2
  _check_order(result)


def test_too_few_times_leave_a_split_empty(source):
  with pytest.raises(DataError, match='none in'):
    source.place(_rows([_day(n % 2) for n in range(100)]), **BY_TIME)


@pytest.mark.parametrize('seed', range(20))
def test_the_order_holds_over_random_data(source, seed):
  draw = random.Random(seed)

  def rows(start, count, days):
    return [
      {
        'filename': f'{n:05d}.png',
        'label': draw.choice('ab'),
        'taken': _day(draw.randrange(days)),
        'patient': f'p{draw.randrange(400)}' if draw.random() < 0.2 else '',
      }
      for n in range(start, start + count)
    ]

  first_rows = rows(0, 300, draw.choice([20, 100, 1000]))
  options = {'group_columns': ('patient',), **BY_TIME}
  first = source.place(first_rows, **options)
  _check_order(first)
  _check_clusters(first)
  again = source.place(draw.sample(first_rows, 300), **options)
  assert again.splits == first.splits
  source.lock(first)
  second = source.place(first_rows + rows(300, 60, 1500), on_leak='drop', **options)
  for name, split in first.splits.items():
    assert second.splits.get(name, split) == split
  _check_order(second)
  _check_clusters(second)


def _check_clusters(result):
  found: dict[str, set] = {}
  for row in result.rows.values():
    if row['cluster'] and not row['reason']:
      found.setdefault(row['cluster'], set()).add(row['split'])
  assert all(len(splits) == 1 for splits in found.values())
