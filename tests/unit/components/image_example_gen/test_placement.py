"""Copies, clusters, leaks and splits, on rows without files; the near-copies are told."""

import collections
import random

import pytest

from schemas import features
from schemas.errors import DataError

EVAL = ('val', 'test', 'production')


def _images(count, labels='ab'):
  return [{'filename': f'{n:04d}.png', 'label': labels[n % len(labels)]} for n in range(count)]


def _with(rows, **changes):
  """Returns the rows; changes: {filename without .png, after an underscore: fields}."""
  return [{**row, **changes.get(f'_{row["filename"][:-4]}', {})} for row in rows]


def _clusters(result):
  found = collections.defaultdict(set)
  for name, row in result.rows.items():
    if row['cluster'] and not row['reason']:
      found[row['cluster']].add(name)
  return sorted(map(sorted, found.values()))


def test_without_clusters_each_class_is_within_one_image_of_its_shares(source):
  result = source.place(_images(200))
  assert result.summary['counts'] == {
    'train': {'a': 80, 'b': 80},
    'val': {'a': 10, 'b': 10},
    'test': {'a': 10, 'b': 10},
  }
  assert result.summary['clusters'] == {'count': 0, 'images': 0, 'largest': 0}
  assert result.findings == []


def test_copies_by_pixels_are_kept_once_and_conflicts_not_at_all(source):
  rows = _with(
    _images(40),
    _0004={'pixels': 'same'},
    _0002={'pixels': 'same'},
    _0007={'pixels': 'both'},
    _0008={'pixels': 'both'},
  )
  result = source.place(rows, max_bad_fraction=0.1)
  assert {name: one.reason for name, one in result.quarantined.items()} == {
    '0004.png': 'duplicate',
    '0007.png': 'label_conflict',
    '0008.png': 'label_conflict',
  }
  assert result.quarantined['0007.png'].detail.startswith(
    '0007.png (b) and 0008.png (a) have the same pixels.'
  )
  assert result.quarantined['0004.png'].detail == 'the same pixels as 0002.png in row 4'
  assert [(row['code'], row['filename'], row['other']) for row in result.findings] == [
    ('exact_copy', '0004.png', '0002.png'),
    ('label_conflict', '0007.png', '0008.png'),
    ('label_conflict', '0008.png', '0007.png'),
  ]
  assert result.summary['bad']['count'] == 2
  # The duplicate is locked with the one that is used, lest it return elsewhere.
  assert len(result.locked) == 38


def test_the_copy_that_is_fixed_is_the_one_that_is_kept(source):
  rows = _with(_images(40), _0002={'pixels': 'same'}, _0004={'pixels': 'same', 'split': 'test'})
  result = source.place(rows)
  assert result.quarantined['0002.png'].detail == 'the same pixels as 0004.png in row 6'
  assert result.splits['0004.png'] == 'test'


def test_near_copies_groups_and_decided_groups_share_a_split(source):
  rows = _with(
    _images(60),
    _0001={'patient': 'p1'},
    _0002={'patient': 'p1'},
    # Joined to p1 through a near-copy.
    _0003={'patient': 'p2'},
    _0004={'patient': 'p2'},
    _0010={'group': 'litter'},
    _0011={'group': 'litter'},
  )
  pairs = [('0002.png', '0003.png', 'mirrored', 0.97), ('0020.png', '0022.png', 'cropped', 0.9)]
  result = source.place(rows, pairs=pairs, columns=('patient',), group_columns=('patient',))
  assert _clusters(result) == [
    ['0001.png', '0002.png', '0003.png', '0004.png'],
    ['0010.png', '0011.png'],
    ['0020.png', '0022.png'],
  ]
  for members in _clusters(result):
    assert len({result.splits[name] for name in members}) == 1
  assert result.summary['clusters'] == {'count': 3, 'images': 8, 'largest': 4}
  # Blank is no group, and a name of one column is no name of another.
  rows = _with(_images(60), _0001={'patient': 'x'}, _0002={'device': 'x'})
  result = source.place(rows, columns=('patient', 'device'), group_columns=('patient', 'device'))
  assert _clusters(result) == []


def test_near_copies_under_different_labels_are_listed_and_kept(source):
  result = source.place(
    _images(40),
    pairs=[('0001.png', '0002.png', 're-encoded', 0.991), ('0003.png', '0005.png', 'cropped', 0.9)],
  )
  assert [row for row in result.findings if row['code'] == 'label_conflict'] == [
    {
      'code': 'label_conflict',
      'filename': '0001.png',
      'other': '0002.png',
      'label': 'b',
      'other_label': 'a',
      'split': result.splits['0001.png'],
      'split_other': result.splits['0001.png'],
      'detail': 're-encoded, 99 % alike, but the labels differ',
    }
  ]
  [near] = [row for row in result.findings if row['code'] == 'near_copy']
  assert (near['filename'], near['other']) == ('0003.png', '0005.png')
  assert len(result.splits) == 40
  assert '1 pairs of near-copies have different labels' in ' '.join(result.summary['warnings'])


def test_free_members_follow_the_fixed_one(source):
  rows = _with(_images(40), _0001={'split': 'test'}, _0002={'split': 'val'})
  result = source.place(
    rows,
    pairs=[('0001.png', '0003.png', 'mirrored', 1), ('0002.png', '0004.png', 'mirrored', 1)],
  )
  assert result.splits['0003.png'] == 'test'
  assert result.splits['0004.png'] == 'val'


def test_a_new_copy_joins_the_locked_split_of_its_cluster(source):
  first = source.place(_images(40))
  source.lock(first)
  locked_in_test = next(name for name, split in first.splits.items() if split == 'test')
  label = first.rows[locked_in_test]['label']
  second = source.place(
    [*_images(40), {'filename': 'new.png', 'label': label}],
    pairs=[(locked_in_test, 'new.png', 'cropped', 0.9)],
  )
  assert second.splits == {**first.splits, 'new.png': 'test'}


# A leak: 0001 in train, 0003 in test, given; 0005 is free.
PAIRS = [('0001.png', '0003.png', 'mirrored', 0.98), ('0003.png', '0005.png', 'cropped', 0.91)]


def _leaking(**more):
  return _with(_images(60), _0001={'split': 'train'}, _0003={'split': 'test'}, **more)


def test_a_leak_stops_the_run_and_names_both_files(source):
  with pytest.raises(DataError) as error:
    source.place(_leaking(), pairs=PAIRS)
  first, last = str(error.value).splitlines()
  assert first == (
    "labels.csv: '0001.png' (train, as given) and '0003.png' (test, as given) belong together: "
    'mirrored, 98 % alike.'
  )
  for word in ('the column split', 'data.on_leak', 'drop', 'warn', 'stop', 'splits.lock.csv'):
    assert word in last


@pytest.mark.parametrize(
  ('fields', 'how'),
  [
    ({'pixels': 'same'}, 'the same pixels'),
    ({'bytes': 'same'}, 'the same pixels'),
    ({'patient': 'p1'}, "patient 'p1'"),
    ({'group': 'g'}, "the decided group 'g'"),
  ],
)
def test_every_kind_of_link_can_leak(source, fields, how):
  rows = _with(_images(40), _0001={'split': 'train', **fields}, _0003={'split': 'test', **fields})
  with pytest.raises(DataError, match=f"'0001.png' .* and '0003.png' .* belong together: {how}"):
    source.place(rows, columns=('patient',), group_columns=('patient',))


def test_a_leak_by_the_lock_is_told_as_such(source):
  first = source.place(_images(40))
  source.lock(first)
  names = [
    next(name for name, split in first.splits.items() if split == wanted)
    for wanted in ('train', 'test')
  ]
  with pytest.raises(DataError, match=f"'{names[0]}' .train, as locked. and '{names[1]}' .test"):
    source.place(_images(40), pairs=[(*names, 'mirrored', 0.9)])


def test_warn_keeps_all_and_marks_what_judges(source):
  result = source.place(_leaking(), pairs=PAIRS, on_leak='warn')
  assert len(result.splits) == 60
  assert (result.splits['0001.png'], result.splits['0003.png']) == ('train', 'test')
  # In train, it does no further harm.
  assert result.splits['0005.png'] == 'train'
  assert [name for name, row in result.rows.items() if row['leak']] == ['0003.png']
  assert result.summary['leaks'] == {'policy': 'warn', 'clusters': 1, 'images': 1, 'taken_out': 0}
  [leak] = [row for row in result.findings if row['code'] == 'leak']
  assert (leak['filename'], leak['split'], leak['other'], leak['split_other']) == (
    '0003.png',
    'test',
    '0001.png',
    'train',
  )
  assert any('1 images of val, test or production' in text for text in result.summary['warnings'])


@pytest.mark.parametrize(
  ('sides', 'kept'),
  [
    (('train', 'test'), 'test'),
    (('train', 'val'), 'val'),
    (('val', 'test'), 'test'),
    (('train', 'val', 'test'), 'test'),
    (('train', 'production'), 'production'),
    (('test', 'production'), 'test'),
  ],
)
def test_drop_leaves_the_split_that_judges_most(source, sides, kept):
  names = [f'{number:04d}.png' for number in (1, 3, 5)[: len(sides)]]
  rows = _with(
    _images(60),
    **{f'_{name[:-4]}': {'split': side} for name, side in zip(names, sides, strict=True)},
  )
  pairs = [(names[0], other, 'mirrored', 0.9) for other in (*names[1:], '0007.png')]
  result = source.place(rows, pairs=pairs, on_leak='drop', production=True)
  for name, side in zip(names, sides, strict=True):
    if side == kept:
      assert result.splits[name] == side
    else:
      assert result.quarantined[name].reason == 'leak'
      assert 'mirrored, 90 % alike' in result.quarantined[name].detail or len(sides) == 3
  # The free copy follows what is left, but is not scored as if it had been served.
  if kept == 'production':
    assert result.quarantined['0007.png'].reason == 'leak'
  else:
    assert result.splits['0007.png'] == kept
  assert result.summary['leaks']['taken_out'] == len(sides) - (kept != 'production')
  assert result.summary['bad']['count'] == 0
  assert not any(row['leak'] for row in result.rows.values())


def test_exact_copies_that_contradict_both_stay_under_warn(source):
  rows = _with(
    _images(40),
    _0001={'split': 'train', 'bytes': 'same'},
    _0003={'split': 'test', 'bytes': 'same'},
    _0005={'bytes': 'same'},
    _0007={'split': 'test', 'bytes': 'same'},
  )
  result = source.place(rows, on_leak='warn')
  assert {name: one.reason for name, one in result.quarantined.items()} == {
    '0005.png': 'duplicate',
    '0007.png': 'duplicate',
  }
  assert result.rows['0003.png']['leak'] == 1
  # One hash cannot be locked twice: the one that judges counts.
  assert result.locked[result.rows['0001.png']['image_id']] == 'test'


def test_production_takes_part_in_leaks_and_is_never_filled(source):
  rows = _with(_images(60), **{f'_{n:04d}': {'split': 'production'} for n in range(0, 10)})
  result = source.place(rows, pairs=[('0001.png', '0021.png', 'mirrored', 0.9)], production=True)
  # It was not drawn from traffic, so it is not scored as if it were.
  assert result.quarantined['0021.png'].reason == 'leak'
  assert result.quarantined['0021.png'].detail.startswith(
    'belongs together with 0001.png in production: mirrored, 90 % alike'
  )
  assert result.summary['splits']['production'] == 10
  assert result.summary['bad']['count'] == 0
  assert not {result.rows[name]['image_id'] for name in ('0001.png', '0021.png')} & set(
    result.locked
  )
  rows = _with(rows, _0021={'split': 'train'})
  with pytest.raises(
    DataError, match=r"'0021.png' \(train, as given\) and '0001.png' \(production"
  ):
    source.place(rows, pairs=[('0001.png', '0021.png', 'mirrored', 0.9)], production=True)


def test_a_leak_names_the_two_that_were_decided_not_their_copies(source):
  rows = _with(
    _images(60),
    _0002={'split': 'test'},
    _0004={'split': 'test', 'group': 'g'},
    _0006={'split': 'train'},
    _0008={'split': 'train', 'group': 'g'},
  )
  pairs = [('0002.png', '0004.png', 'mirrored', 0.9), ('0006.png', '0008.png', 'mirrored', 0.9)]
  with pytest.raises(DataError) as error:
    source.place(rows, pairs=pairs)
  assert str(error.value).splitlines()[0] == (
    "labels.csv: '0008.png' (train, as given) and '0004.png' (test, as given) belong together: "
    "the decided group 'g'."
  )


def test_what_would_stop_a_run_is_collected_where_the_gates_are_not_strict(source):
  rows = [*_leaking(), {'filename': 'r.png', 'label': 'rare', 'split': 'test'}]
  result = source.place(rows, strict=False, pairs=PAIRS)
  leak, rare = result.complaints
  assert "'0001.png' (train, as given)" in leak
  assert "class 'rare'" in rare
  assert result.rows['0003.png']['leak'] == 1


def test_labels_that_look_alike_are_named_with_a_file_each(source):
  rows = [
    {'filename': f'{n}.png', 'label': label}
    for n, label in enumerate(['cat', 'Cat', 'big  cat', 'big cat', 'caf\u00e9', 'cafe\u0301'] * 10)
  ]
  result = source.place(rows)
  found = [row for row in result.findings if row['code'] == 'similar_labels']
  assert [(row['label'], row['other_label'], row['filename'], row['other']) for row in found] == [
    ('cat', 'Cat', '0.png', '1.png'),
    ('big cat', 'big  cat', '3.png', '2.png'),
    ('caf\u00e9', 'cafe\u0301', '4.png', '5.png'),
  ]
  assert sum('as different classes' in text for text in result.summary['warnings']) == 3


def test_personal_data_is_counted_and_named(source):
  rows = _with(
    _images(40), _0001={'personal': ('gps', 'serial_number')}, _0002={'personal': ['gps']}
  )
  result = source.place(rows)
  assert result.summary['personal'] == {'gps': 2, 'serial_number': 1}
  assert [(row['code'], row['filename']) for row in result.findings] == [
    ('gps', '0001.png'),
    ('gps', '0002.png'),
    ('serial_number', '0001.png'),
  ]


def test_large_clusters_are_placed_first_and_nearest_to_the_shares(source):
  # Of 100 images of one class 80, 10 and 10 are wanted: 60 to train, 20 to train,
  # 10 to val or test, and the ten that are alone fill the other.
  rows, start = [], 0
  for size, patient in ((10, 'c'), (60, 'a'), (20, 'b')):
    rows += [
      {'filename': f'{start + n}.png', 'label': 'x', 'patient': patient} for n in range(size)
    ]
    start += size
  rows += [{'filename': f'{start + n}.png', 'label': 'x'} for n in range(10)]
  rows += [{'filename': f'y{n}.png', 'label': 'y'} for n in range(30)]
  result = source.place(rows, columns=('patient',), group_columns=('patient',))
  counts = result.summary['counts']
  assert (counts['train']['x'], counts['val']['x'], counts['test']['x']) == (80, 10, 10)


@pytest.mark.parametrize('seed', range(25))
def test_properties_hold_over_random_data(source, seed):
  draw = random.Random(seed)
  labels = [f'class{n}' for n in range(draw.randint(2, 6))]
  patients = [f'p{n}' for n in range(draw.randint(20, 60))]

  def rows(start, count):
    return [
      {
        'filename': f'{n:05d}.png',
        'label': draw.choice(labels),
        'patient': draw.choice(patients) if draw.random() < 0.3 else '',
      }
      for n in range(start, start + count)
    ]

  def pairs(names, count):
    return [(*sorted(draw.sample(names, 2)), 'mirrored', 0.9) for _ in range(count)]

  first_rows = rows(0, draw.randint(200, 400))
  names = [row['filename'] for row in first_rows]
  first_pairs = pairs(names, draw.randint(0, 30))
  options = {'columns': ('patient',), 'group_columns': ('patient',)}
  first = source.place(first_rows, pairs=first_pairs, **options)
  _check_clusters(first)
  # No cluster is larger than what fits: within its size of the share.
  largest = max(1, first.summary['clusters']['largest'])
  for label, wanted in _wanted(first).items():
    for name in features.SPLITS:
      found = first.summary['counts'][name].get(label, 0)
      assert abs(found - wanted[name]) <= largest + 1, (label, name)

  # In another order, nothing changes.
  shuffled = draw.sample(first_rows, len(first_rows))
  again = source.place(shuffled, pairs=first_pairs, **options)
  assert again.splits == first.splits
  assert again.summary['dataset_sha256'] == first.summary['dataset_sha256']

  # Later rows never move those that are locked; a new one follows its cluster.
  source.lock(first)
  later = [{**row, 'patient': ''} for row in rows(len(first_rows), 80)]
  copies = [(draw.choice(names), row['filename'], 'cropped', 0.9) for row in draw.sample(later, 20)]
  second = source.place(
    draw.sample(first_rows + later, len(first_rows) + 80), pairs=first_pairs + copies, **options
  )
  assert {name: second.splits[name] for name in names} == first.splits
  _check_clusters(second)
  for original, copy, *_ in copies:
    assert second.splits[copy] == first.splits[original]


def _check_clusters(result):
  for members in _clusters(result):
    assert len({result.splits[name] for name in members}) == 1, members


def _wanted(result):
  sizes = collections.Counter(row['label'] for row in result.rows.values())
  return {
    label: {'train': 0.8 * size, 'val': 0.1 * size, 'test': 0.1 * size}
    for label, size in sizes.items()
  }


def test_groups_that_leave_a_split_empty_are_named_as_the_cause(source):
  rows = [
    {'filename': f'{n}.png', 'label': 'ab'[n % 2], 'patient': f'p{n // 50}'} for n in range(100)
  ]
  with pytest.raises(DataError, match='Up to 50 images belong together and are never divided'):
    source.place(rows, columns=('patient',), group_columns=('patient',))


@pytest.mark.parametrize(
  'groups, expected', [(3, (1, 1, 1)), (4, (2, 1, 1)), (5, (3, 1, 1)), (10, (8, 1, 1))]
)
def test_a_handful_of_groups_leaves_no_split_empty(source, groups, expected):
  rows = [
    {'filename': f'{n}.png', 'label': 'ab'[n % 2], 'patient': f'p{n // 20}'}
    for n in range(20 * groups)
  ]
  result = source.place(rows, columns=('patient',), group_columns=('patient',))
  assert tuple(result.summary['splits'][name] // 20 for name in features.SPLITS) == expected
