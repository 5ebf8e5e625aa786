"""What is wrong with the workers is said before a run, and within a limit of time."""

import json
import pathlib
import socket
import subprocess
import sys

import pytest

from pipeline import beam_preflight, doctor, worker_probe
from schemas import loader
from schemas.errors import RunError


def config_of(tmp_path, jobs='localhost:1', pool='localhost:1', seconds=5.0):
  beam = {
    'engine': 'portable',
    'portable': {'job_endpoint': jobs, 'worker_pool': pool, 'check_seconds': seconds},
  }
  return loader.build_config({'name': 'x', 'beam': beam}, 'test', working_directory=tmp_path)


@pytest.fixture
def silent():
  """Yields the address of something that listens and never says a word."""
  with socket.socket() as listening:
    listening.bind(('localhost', 0))
    listening.listen()
    yield f'localhost:{listening.getsockname()[1]}'


def test_nothing_is_asked_of_this_process(tmp_path):
  beam_preflight.check(loader.build_config({'name': 'x'}, 'test', working_directory=tmp_path))
  assert not list(tmp_path.iterdir())


def test_a_service_that_does_not_answer_is_named_with_its_key(tmp_path, silent):
  with pytest.raises(RunError) as caught:
    beam_preflight.check(config_of(tmp_path))
  assert str(caught.value).startswith('beam.portable.job_endpoint: expected a Beam job service')
  assert 'deploy/beam/local_cluster.py' in str(caught.value)
  with pytest.raises(RunError, match='^beam.portable.worker_pool: expected a Beam worker pool'):
    beam_preflight.check(config_of(tmp_path, silent))


def test_a_job_that_never_comes_back_ends_with_an_error(tmp_path, silent):
  with pytest.raises(RunError) as caught:
    beam_preflight.check(config_of(tmp_path, silent, silent))
  text = str(caught.value)
  assert 'expected a worker within 5 s (beam.portable.check_seconds). Received: none' in text
  assert 'has no apache_beam' in text
  assert not list((tmp_path / 'runs/x/state').iterdir())


def answer(monkeypatch, tmp_path, found):
  def send(beam, folder):
    if found is not None:
      pathlib.Path(folder, worker_probe.ANSWER).write_text(json.dumps(found))

  monkeypatch.setattr(beam_preflight, '_send', send)
  beam_preflight.check_worker(config_of(tmp_path).beam, tmp_path / 'state')


def test_a_worker_as_this_process_is_passes(monkeypatch, tmp_path):
  answer(monkeypatch, tmp_path, worker_probe.here())


@pytest.mark.parametrize('name', ['apache-beam', 'tensorflow', 'python', 'sightline'])
def test_another_version_of_anything_that_counts_is_an_error(monkeypatch, tmp_path, name):
  with pytest.raises(RunError) as caught:
    answer(monkeypatch, tmp_path, worker_probe.here() | {name: '0.0.0'})
  assert f'Received: {name} 0.0.0 (here: {worker_probe.here()[name]}).' in str(caught.value)


def test_a_worker_that_does_not_share_the_folder_is_an_error(monkeypatch, tmp_path):
  with pytest.raises(RunError, match='share the folder .*state with this machine'):
    answer(monkeypatch, tmp_path, None)


def test_a_worker_says_that_it_lacks_our_packages(tmp_path):
  code = pathlib.Path(worker_probe.__file__).read_text().partition('def main')[0]
  done = subprocess.run(
    [sys.executable, '-I', '-S', '-c', f'{code}\nprint(json.dumps(here()))'],
    cwd=tmp_path,
    capture_output=True,
    text=True,
    check=True,
  )
  found = json.loads(done.stdout)
  assert found['apache-beam'] == 'missing' and found['sightline'].startswith('missing: No module')


@pytest.mark.parametrize('engine, master', [('flink', 'jobs:8081'), ('spark', 'spark://m:7077')])
def test_a_job_server_wants_java(tmp_path, monkeypatch, engine, master):
  (tmp_path / 'server.jar').touch()
  part = {'master': master, 'worker_pool': 'pool:1', 'job_server_jar': str(tmp_path / 'server.jar')}
  tree = {'name': 'x', 'beam': {'engine': engine, engine: part}}
  config = loader.build_config(tree, 'test', working_directory=tmp_path)
  monkeypatch.setenv('PATH', str(tmp_path))
  with pytest.raises(RunError, match=f'{engine} expects java on PATH'):
    beam_preflight.check(config)
  (tmp_path / 'java').write_text('#!/bin/sh\n')
  (tmp_path / 'java').chmod(0o755)
  beam_preflight.check(config)


def test_the_doctor_has_a_line_for_the_engine(tmp_path):
  path = tmp_path / 'x.yaml'
  path.write_text('name: x\n')
  assert doctor.check_beam(path).ok is True
  line = doctor.check_beam(
    path,
    [
      'beam.engine=portable',
      'beam.portable.job_endpoint=localhost:1',
      'beam.portable.worker_pool=localhost:1',
    ],
  )
  assert line.ok is False and 'beam.portable.job_endpoint' in line.found and line.next_step
