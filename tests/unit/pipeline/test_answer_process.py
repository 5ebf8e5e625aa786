"""The published model is asked by a process of its own, and every way of failing has words."""

import json
import pathlib

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline import answer_process
from schemas import features
from schemas.errors import ServingError
from schemas.weights_hash import weights_sha256
from tests.unit.serving import exports

pytestmark = pytest.mark.slow


@pytest.fixture(scope='module')
def found(tmp_path_factory):
  """What a run whose data has three images leaves behind."""
  root = tmp_path_factory.mktemp('run')
  export = exports.write_image_model(root / 'serving/tiny/5', seed=1)
  rows = []
  for seed, width, split in ((1, 60, features.TEST), (2, 23, features.TEST), (3, 9, 'train')):
    image = exports.encoded(seed, 'PNG', width)
    (root / f'{seed}.png').write_bytes(image)
    rows.append(
      {'path': f'{seed}.png', 'label': f'label {seed}', 'split': split, 'bytes': len(image)}
    )
  pq.write_table(pa.Table.from_pylist(rows), root / 'manifest.parquet')
  return {
    'published': {'version': '5', 'directory': str(export)},
    'paths': {
      'serving': str(root / 'serving/tiny'),
      'manifest': str(root / 'manifest.parquet'),
      'images': str(root),
    },
  }


def test_the_smallest_test_image_is_asked_about_whatever_lies_in_the_working_directory(
  found, tmp_path, monkeypatch
):
  for name in ('models', 'serving', 'schemas', 'pipeline'):
    (tmp_path / name).mkdir()
    (tmp_path / name / '__init__.py').write_text('raise RuntimeError("not ours")')
  monkeypatch.chdir(tmp_path)
  answer = answer_process.ask(found, tmp_path / 'log')
  assert pathlib.Path(answer['file']).name == '2.png' and answer['expected'] == 'label 2'
  assert answer['model_version'] == '5'
  assert answer['model_sha256'] == weights_sha256(pathlib.Path(found['published']['directory']))
  expected = exports.expected_probabilities(1, exports.picture(2))
  assert answer['probabilities'] == pytest.approx(expected.tolist(), abs=1e-5)


def test_an_answer_of_another_version_is_none(found, tmp_path):
  asked = {**found, 'published': {**found['published'], 'version': '6'}}
  with pytest.raises(ServingError, match='version 6 in .* did not answer: .* of version 5'):
    answer_process.ask(asked, tmp_path / 'log')


def stand_in(monkeypatch, code):
  monkeypatch.setattr(
    answer_process.module_process, 'command', lambda module, *words: ['sh', '-c', code]
  )


@pytest.mark.parametrize(
  'code, reason',
  [
    ('echo why >&2; exit 3', 'its process ended with code 3'),
    ('true', 'its process printed no answer'),
    ('echo no json', 'its process printed no answer'),
    ('exec sleep 60', 'no answer after 1 seconds'),
  ],
)
def test_a_process_that_ends_otherwise_is_an_error_that_names_the_log(
  found, tmp_path, monkeypatch, code, reason
):
  stand_in(monkeypatch, code)
  with pytest.raises(ServingError, match=reason) as caught:
    answer_process.ask(found, tmp_path / 'log', longest_seconds=1)
  assert str(tmp_path / 'log') in str(caught.value)
  if 'why' in code:
    assert (tmp_path / 'log').read_text() == 'why\n'


def test_only_the_last_line_is_the_answer(found, tmp_path, monkeypatch):
  stand_in(monkeypatch, f"echo noise; echo '{json.dumps({'label': 'x'})}'")
  assert answer_process.ask(found, tmp_path / 'log') == {'label': 'x'}
