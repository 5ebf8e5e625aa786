"""The command line by which TensorFlow Serving's binary takes the embedded server's place."""

import os
import subprocess
import sys

import pytest

from schemas.errors import ServingError
from serving import model_config, tensorflow_model_server


@pytest.fixture
def binary(tmp_path, monkeypatch):
  """A stand-in on PATH that prints what it was started with, and ends with code 5."""
  folder = tmp_path / 'bin'
  folder.mkdir()
  path = folder / 'tensorflow_model_server'
  path.write_text('#!/bin/sh\nfor one in "$@"; do echo "$one"; done\nexit 5\n')
  path.chmod(0o755)
  monkeypatch.setenv('PATH', f'{folder}{os.pathsep}{os.environ["PATH"]}')
  return path


def test_it_serves_the_same_models_on_the_same_ports(binary, tmp_path):
  config = model_config.single('digits', '/models/digits')
  line = tensorflow_model_server.command(config, tmp_path, 8501, 8500, None, 2.4)
  flags = dict(one.removeprefix('--').split('=', 1) for one in line[1:])
  assert line[0] == str(binary)
  assert (flags['port'], flags['rest_api_port']) == ('8500', '8501')
  assert flags['file_system_poll_wait_seconds'] == '2'
  (model,) = model_config.read(flags['model_config_file']).model_config_list.config
  assert (model.name, model.base_path) == ('digits', '/models/digits')
  assert '/monitoring/prometheus/metrics' in open(flags['monitoring_config_file']).read()
  assert 'enable_batching' not in flags


def test_files_that_are_given_are_used_as_they_are(binary, tmp_path):
  file = tmp_path / 'mine.config'
  config = model_config.single('digits', '/models/digits')
  model_config.write(file, config)
  line = tensorflow_model_server.command(
    config, tmp_path, 8501, 8500, file, 1, tmp_path / 'batching', '/run/socket'
  )
  assert f'--model_config_file={file}' in line
  assert f'--batching_parameters_file={tmp_path / "batching"}' in line
  assert '--enable_batching=true' in line and '--grpc_socket_path=/run/socket' in line


def test_the_command_becomes_the_binary(binary, tmp_path):
  (tmp_path / 'digits').mkdir()
  done = subprocess.run(
    [sys.executable, '-m', 'pipeline', 'serve', '--directory', str(tmp_path / 'digits')]
    + ['--backend', 'tensorflow_model_server', '--host', '0.0.0.0'],
    capture_output=True,
    text=True,
  )
  assert done.returncode == 5, done.stderr
  assert '--rest_api_port=8501' in done.stdout.splitlines()


def test_what_it_cannot_do_is_told_before(binary, tmp_path, monkeypatch):
  config = model_config.single('digits', '/models/digits')
  with pytest.raises(ServingError, match='numbers of two ports'):
    tensorflow_model_server.command(config, tmp_path, 0, 8500)
  monkeypatch.setenv('PATH', '/nowhere')
  with pytest.raises(ServingError, match='on PATH. Received: none'):
    tensorflow_model_server.command(config, tmp_path, 8501, 8500)


@pytest.mark.parametrize(
  'arguments, part',
  [([], 'it listens on every address'), (['--host', '0.0.0.0', '--drain-seconds', '1'], 'none of')],
)
def test_settings_that_it_does_not_have_are_refused(tmp_path, arguments, part):
  done = subprocess.run(
    [sys.executable, '-m', 'pipeline', 'serve', '--directory', str(tmp_path)]
    + ['--backend', 'tensorflow_model_server', *arguments],
    capture_output=True,
    text=True,
  )
  assert done.returncode == 1 and part in ' '.join(done.stderr.split() + done.stdout.split())
