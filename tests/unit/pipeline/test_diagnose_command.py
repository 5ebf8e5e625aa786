"""The command on the record of a run: a server of its own, the table, the file, the exit code."""

import json

import pytest

from pipeline import diagnose_command
from pipeline.diagnosis import subject
from schemas.errors import DataError, RunError
from tests.unit.pipeline.diagnosis.conftest import (  # noqa: F401 - fixtures
  VERSION,
  production,
  run,
  say,
)
from tests.unit.pipeline.run_store import Store


@pytest.fixture
def recorded(tmp_path, run):  # noqa: F811
  """The record of the run, as TFX writes it."""
  root = tmp_path / 'runs' / 'colours'
  root.mkdir(parents=True)
  store = Store(root)
  (tmp_path / 'schema').mkdir()
  (tmp_path / 'schema' / 'schema.pbtxt').write_bytes(run.schema.read_bytes())
  (tmp_path / 'dataset').mkdir()
  (tmp_path / 'dataset' / 'manifest.parquet').write_bytes(run.manifest.read_bytes())
  served = store.artifact('Model', str(tmp_path / 'another'))
  examples = store.artifact('Examples', str(run.export.parents[1] / 'examples'))
  dataset = store.artifact('components.Dataset', str(tmp_path / 'dataset'))
  schema = store.artifact('Schema', str(tmp_path / 'schema'))
  model = store.artifact('Model', str(run.export.parent))
  predictions = store.artifact('components.Predictions', str(run.predictions))
  pushed = store.artifact(
    'PushedModel', '/pushed', pushed_version=VERSION, pushed_destination=str(run.published)
  )
  store.execution('run-1', 'ImageExampleGen', [], [examples, dataset])
  store.execution('run-1', 'SchemaGen', [], [schema])
  store.execution('run-1', 'Trainer', [examples], [model])
  store.execution('run-1', 'LatestServedModel', [], [served])
  store.execution('run-1', 'Evaluator', [examples, model], [predictions])
  store.execution('run-1', 'Publisher', [model], [pushed])
  return root


def test_a_run_is_found_by_id_by_version_and_by_folder(recorded, run, monkeypatch):  # noqa: F811
  monkeypatch.chdir(recorded.parents[1])
  found = subject.find('run-1')
  assert found == subject.find(VERSION) == subject.find('run-1', recorded)
  (recorded / 'run-1').mkdir()
  assert subject.find(str(recorded / 'run-1')) == found
  assert (found.export, found.published) == (run.export, run.published)
  assert (found.run_id, found.version, found.model_name) == ('run-1', VERSION, 'colours')
  with pytest.raises(RunError, match='Received: nine'):
    subject.find('nine')


def test_no_gap_is_exit_code_0_and_stands_in_the_file(
  recorded,
  production,  # noqa: F811
  say,  # noqa: F811
  tmp_path,
  monkeypatch,
  capfd,
):
  monkeypatch.chdir(tmp_path)
  images, labels = production([(seed, 1.0, say(seed)) for seed in range(80)])
  with open(labels, 'a') as stream:
    stream.write('absent.png,red\n0.png,red,more\n')
  (images / '90.png').write_bytes((images / '0.png').read_bytes())
  with open(labels, 'a') as stream:
    stream.write(f'90.png,{say(0)}\n')
  file = tmp_path / 'found.json'
  assert diagnose_command.run(VERSION, images, labels, None, None, None, file) == 0
  found = json.loads(file.read_text())
  assert found['conclusion']['kind'] == 'no gap'
  assert found['bad_rows'] == {'missing_file': 1, 'malformed_row': 1, 'repeated': 1}
  assert found['images'] == 80
  assert found['steps'][0]['figures']['versions'] == [VERSION]
  printed = capfd.readouterr().out
  assert 'replay of test' in printed
  assert printed.splitlines()[-1].startswith('no gap: ')
  assert 'missing_file' in printed


def test_rows_none_of_which_can_be_used_are_an_error_that_shows_one(production, tmp_path):  # noqa: F811
  from pipeline.diagnosis import given_images

  images, _ = production([(1, 1.0, 'red')])
  labels = tmp_path / 'other.csv'
  labels.write_text('filename,label\nabsent.png,red\n')
  with pytest.raises(DataError, match=r'other.csv row 2: missing_file'):
    given_images.read(images, labels)
  labels.write_text('file,label\n1.png,red\n')
  with pytest.raises(DataError, match='expected the columns filename and label'):
    given_images.read(images, labels)
  with pytest.raises(DataError, match='no such file'):
    given_images.read(images, tmp_path / 'none.csv')
