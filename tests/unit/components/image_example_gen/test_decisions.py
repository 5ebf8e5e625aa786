import collections

import pytest

from components.image_example_gen import decisions, driver
from components.image_example_gen.rows import Row
from schemas.config import DataConfig
from schemas.errors import DataError


def _apply(path, rows):
  return list(decisions.apply(path, rows))


def test_each_decision_does_what_it_says(tmp_path):
  path = tmp_path / 'decisions.csv'
  path.write_bytes(
    '\ufefffilename,decision,value,note\r\n'
    'a.png,keep,,"rare, but real"\r\n'
    '"b, 2.png",Drop,,blurred\r\n'
    '\r\n'
    'ü.png,relabel, dog ,\r\n'
    'a.png,group,walk 3,\r\n'.encode()
  )
  kept, dropped, relabelled, other = _apply(
    path,
    [
      Row(2, 'a.png', 'cat'),
      Row(3, 'b, 2.png', 'cat'),
      # The same letter, written as macOS writes it; a blank label is mended.
      Row(4, 'u\u0308.png', ''),
      Row(5, 'c.png', 'cat'),
    ],
  )
  assert kept == Row(2, 'a.png', 'cat', decision='keep+group', group='walk 3')
  assert (dropped.reason, dropped.decision) == ('dropped', 'drop')
  assert dropped.detail == 'decided in line 3 of the decisions: blurred'
  assert relabelled == Row(4, 'u\u0308.png', 'dog', decision='relabel')
  assert other == Row(5, 'c.png', 'cat')


@pytest.mark.parametrize(
  ('lines', 'expected'),
  [
    ('filename,verdict\n', 'line 1: expected the columns filename, decision, value, note'),
    ('filename,decision\na.png,remove\n', 'line 2: expected one of keep, drop, relabel, group. '),
    ('filename,decision,value\na.png,relabel,\n', 'line 2: expected the label as value of relabel'),
    ('filename,decision,value\na.png,group, \n', 'line 2: expected the name of the group as value'),
    ('filename,decision\n,drop\n', 'line 2: expected a filename'),
    ('filename,decision\na.png,drop,x\n', 'line 2: expected 2 values'),
    (
      'filename,decision,value\na.png,keep,\n\na.png,drop,\n',
      "line 4: expected no contradiction. Received: drop for 'a.png', for which line 2 says keep.",
    ),
    (
      'filename,decision,value\na.png,relabel,x\na.png,relabel,y\n',
      "line 3: expected no contradiction. Received: relabel y for 'a.png', for which line 2 says "
      'relabel x.',
    ),
  ],
)
def test_what_is_no_decision_is_an_error_with_its_line(tmp_path, lines, expected):
  path = tmp_path / 'decisions.csv'
  path.write_text(lines)
  with pytest.raises(DataError) as error:
    _apply(path, [Row(2, 'a.png', 'cat')])
  assert f'decisions.csv {expected}' in str(error.value)


def test_the_same_twice_is_no_contradiction(tmp_path):
  path = tmp_path / 'decisions.csv'
  path.write_text('filename,decision,value\na.png,relabel,x\na.png,relabel,x\na.png,keep,\n')
  [row] = _apply(path, [Row(2, 'a.png', 'cat')])
  assert (row.label, row.decision) == ('x', 'keep+relabel')


def test_a_run_keeps_to_the_decisions(good_data, run_ingest, tmp_path):
  before = run_ingest(good_data)
  (good_data / 'decisions.csv').write_text(
    'filename,decision,value,note\n'
    '00.png,keep,,\n01.png,drop,,blurred\n02.png,relabel,dog,\n'
    '12.png,group,litter,\n13.png,group,litter,\n'
  )
  # The lock holds the two of the litter apart; that is another matter.
  (good_data / 'splits.lock.csv').unlink()
  result = run_ingest(good_data)
  assert [(row['filename'], row['reason']) for row in result.quarantined] == [('01.png', 'dropped')]
  assert result.summary['bad']['count'] == 0
  assert result.summary['decisions'] == {'keep': 1, 'drop': 1, 'relabel': 1, 'group': 2}
  rows = {row['path']: row for row in result.manifest}
  assert rows['02.png']['label'] == 'dog'
  assert collections.Counter(row['decision'] for row in result.manifest) == {
    '': 15,
    'keep': 1,
    'relabel': 1,
    'group': 2,
  }
  assert rows['12.png']['cluster'] == rows['13.png']['cluster'] != ''
  assert result.summary['dataset_sha256'] != before.summary['dataset_sha256']
  (good_data / 'decisions.csv').unlink()
  (good_data / 'splits.lock.csv').unlink()
  again = run_ingest(good_data)
  assert again.summary['dataset_sha256'] == before.summary['dataset_sha256']


def test_a_decision_about_a_file_that_is_gone_warns_and_stops_nothing(good_data, run_ingest):
  (good_data / 'decisions.csv').write_text(
    'filename,decision\nz.png,drop\n00.png,keep\nnone.png,keep\nnone.png,keep\n'
  )
  [warning] = [one for one in run_ingest(good_data).summary['warnings'] if 'decisions' in one]
  assert warning.startswith(
    "2 files in decisions.csv are in no row of labels.csv: 'z.png', 'none.png'."
  )


def test_the_cache_notices_a_decision(good_data, tmp_path):
  found = []
  for line in ('', '00.png,keep,', '00.png,group,a', '00.png,group,b', '00.png,relabel,dog'):
    (good_data / 'decisions.csv').write_text(f'filename,decision,value\n{line}\n')
    found.append(driver.data_fingerprint(DataConfig(root=good_data), tmp_path / 'memory'))
  assert len(set(found)) == len(found)


def test_decisions_that_were_asked_for_by_name_must_be_there(good_data, run_ingest):
  with pytest.raises(DataError, match=r'data\.decisions: expected a CSV. Received: .*review\.csv'):
    run_ingest(good_data, decisions='review.csv')
