"""The store by its configured address: a real server, two runs at once, backup and restore."""

import os
import pathlib
import sqlite3
import subprocess
import sys

import pytest

from pipeline import lineage, metadata_store, run_notes, runner
from schemas.config import Config
from schemas.errors import ConfigError, RunError
from tests.unit.pipeline import postgres_server

ROOT = pathlib.Path(__file__).parents[3]
WHY_NOT = postgres_server.missing()
needs_postgres = pytest.mark.skipif(WHY_NOT is not None, reason=WHY_NOT or '')

# A run of one cheap component, in a process of its own: it begins when it is told to.
_RUN = """
import sys
from tests.unit.pipeline import test_metadata_store as test
settings = test.config(test.pathlib.Path(sys.argv[1]), sys.argv[2] or None)
compiled = test.compiled(settings)
print('ready', flush=True)
input()
print(test.executed(settings, compiled), flush=True)
"""


class Silent:
  def planned(self, components):
    pass

  def started(self, component):
    pass

  def finished(self, component, outcome, seconds):
    pass


def config(root: pathlib.Path, url: str | None, name: str = 'x') -> Config:
  run = {'root': str(root), 'metadata': url}
  return Config.model_validate({'name': name, 'run': run})


def compiled(settings: Config):
  from tfx.dsl.compiler import compiler
  from tfx.orchestration.pipeline import Pipeline

  from tests.unit.pipeline import worker_component

  return compiler.Compiler().compile(
    Pipeline(
      pipeline_name=settings.name,
      pipeline_root=str(settings.run.root / 'artifacts'),
      components=[worker_component.Worker(fails=0).with_id('Worker')],
      metadata_connection_config=metadata_store.connection(settings),
    )
  )


def executed(settings: Config, pipeline) -> str:
  """Returns the outcome of the component, or why the run could not be."""
  try:
    with runner.open_run(settings) as run:
      runner.execute(lambda: pipeline, run, Silent())
      return run.components['Worker'].outcome
  except RunError as error:
    return str(error)


def two_at_once(first: Config, second: Config) -> tuple[str, str]:
  command = [sys.executable, '-c', _RUN, str(second.run.root), second.run.metadata or '']
  other = subprocess.Popen(
    command,
    cwd=ROOT,
    env={**os.environ, 'PYTHONPATH': str(ROOT)},
    stdin=subprocess.PIPE,
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
  )
  pipeline = compiled(first)
  try:
    for line in other.stdout:
      if line == 'ready\n':
        break
    other.stdin.write('go\n')
    other.stdin.flush()
    mine = executed(first, pipeline)
    said, errors = other.communicate(timeout=120)
    assert said.strip(), errors[-3000:]
    return mine, said.strip().splitlines()[-1]
  finally:
    other.kill()
    other.wait()


@pytest.fixture(scope='module')
def server():
  with postgres_server.running() as started:
    yield started


@pytest.fixture
def database(server, request, monkeypatch):
  """The address of an empty database, whose password is in the environment."""
  monkeypatch.setenv('PGPASSWORD', postgres_server.PASSWORD)
  server.call('createdb', request.node.name[:60])
  return server.url(request.node.name[:60])


@needs_postgres
@pytest.mark.slow
def test_two_runs_at_once_on_a_server_are_both_recorded(database, server, tmp_path):
  one, two = config(tmp_path / 'one', database), config(tmp_path / 'two', database)
  found = two_at_once(one, two)
  recorded = lineage.Record(tmp_path / 'one').runs()
  if any('very second' in text for text in found):
    assert len(recorded) == 1 and runner.DONE in found
  else:
    assert found == (runner.DONE, runner.DONE)
    assert [run.state for run in recorded] == ['complete', 'complete']
  # Either root reads the same store, and neither has a file of it.
  assert lineage.Record(tmp_path / 'two').runs() == recorded
  assert not list(tmp_path.glob(f'*/{metadata_store.FILE}'))

  run_id = recorded[0].run_id
  run_notes.conclude(tmp_path / 'one', run_id, 'it was worth it')
  assert lineage.Record(tmp_path / 'two').runs()[0].conclusion == 'it was worth it'
  # What may be read by others holds no password.
  kept = [path.read_bytes() for path in tmp_path.rglob('*') if path.is_file()]
  assert kept and not any(postgres_server.PASSWORD.encode() in text for text in kept)

  # The recipe of docs/metadata.md.
  dump = tmp_path / 'digits.sql'
  name = database.rpartition('/')[2]
  server.call('pg_dump', '--no-owner', '--file', str(dump), name)
  server.call('createdb', 'restored')
  server.call('psql', '--quiet', '--set', 'ON_ERROR_STOP=1', '--file', str(dump), 'restored')
  again = tmp_path / 'again'
  again.mkdir()
  metadata_store.note(config(again, server.url('restored')))
  restored = lineage.Record(again).runs()
  assert [(run.run_id, run.conclusion) for run in restored] == [
    (run.run_id, run.conclusion) for run in lineage.Record(tmp_path / 'one').runs()
  ]

  # Another experiment is not mixed into it.
  other = config(tmp_path / 'other', database, 'y')
  said = executed(other, compiled(other))
  assert 'a database of y alone' in said and 'the runs of x' in said


@pytest.mark.slow
def test_two_runs_at_once_in_one_root_are_one_run_and_a_clear_error(tmp_path):
  found = sorted(two_at_once(config(tmp_path, None), config(tmp_path, None)))
  if found != [runner.DONE, runner.DONE]:  # the one was over before the other began
    assert runner.DONE in found
    assert any('another run of this experiment is at work there' in text for text in found)
  done = [run for run in lineage.Record(tmp_path).runs() if run.state == 'complete']
  assert len(done) == found.count(runner.DONE)

  # The recipe of docs/metadata.md.
  again = tmp_path / 'again'
  again.mkdir()
  with (
    sqlite3.connect(tmp_path / metadata_store.FILE) as source,
    sqlite3.connect(again / metadata_store.FILE) as target,
  ):
    source.backup(target)
  assert [run.run_id for run in lineage.Record(again).runs()] == [
    run.run_id for run in lineage.Record(tmp_path).runs()
  ]


@needs_postgres
def test_a_wrong_password_is_said_to_be_one(server, tmp_path, monkeypatch):
  monkeypatch.setenv('PGPASSWORD', 'guessed')
  metadata_store.note(config(tmp_path, server.url('postgres')))
  with pytest.raises(RunError) as raised:
    lineage.Record(tmp_path)
  assert 'PGPASSWORD' in str(raised.value) and 'PGPASSFILE' in str(raised.value)
  assert 'guessed' not in str(raised.value)


@needs_postgres
def test_the_password_may_lie_in_a_file(server, tmp_path, monkeypatch):
  from ml_metadata.metadata_store import metadata_store as mlmd_store

  monkeypatch.delenv('PGPASSWORD', raising=False)
  passwords = tmp_path / 'pgpass'
  passwords.write_text(f'127.0.0.1:*:*:postgres:{postgres_server.PASSWORD}\n', encoding='utf-8')
  passwords.chmod(0o600)
  monkeypatch.setenv('PGPASSFILE', str(passwords))
  server.call('createdb', 'by_file')
  settings = config(tmp_path / 'root', server.url('by_file'))
  store = mlmd_store.MetadataStore(metadata_store.connection(settings))
  assert store.get_artifacts() == []


def test_what_is_recorded_at_one_place_is_not_looked_for_at_another(tmp_path):
  url = 'postgresql://me@localhost/digits'
  metadata_store.note(config(tmp_path, url))
  metadata_store.note(config(tmp_path, url))
  assert metadata_store.exists(tmp_path) and metadata_store.place(tmp_path) == url
  with pytest.raises(
    ConfigError, match=r'run\.metadata: expected postgresql://me@localhost/digits'
  ):
    metadata_store.note(config(tmp_path, None))


def test_a_root_with_a_file_keeps_it(tmp_path):
  (tmp_path / metadata_store.FILE).touch()
  metadata_store.note(config(tmp_path, None))
  with pytest.raises(ConfigError, match=r'run\.metadata: expected .*metadata\.sqlite'):
    metadata_store.note(config(tmp_path, 'postgresql://me@localhost/digits'))


def test_the_connection_is_what_the_address_says():
  url = 'postgresql://a%40b@db.example:6000/digits?sslmode=verify-full&sslrootcert=/etc/ca.pem'
  found = metadata_store.connection(config(pathlib.Path('r'), url)).postgresql
  assert (found.user, found.host, found.port, found.dbname) == (
    'a@b',
    'db.example',
    '6000',
    'digits',
  )
  assert (found.ssloption.sslmode, found.ssloption.sslrootcert) == ('verify-full', '/etc/ca.pem')
  assert found.password == '' and found.skip_db_creation
