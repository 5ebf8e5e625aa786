"""Both Dockerfiles: the linter's opinion, and what no linter knows."""

import http.server
import json
import pathlib
import re
import subprocess
import sys
import threading

import pytest

from tests.unit.deploy.manifests import (
  BIN,
  DEPLOY,
  GRPC,
  REST,
  ROOT,
  health_command,
  instructions,
  one,
)

SERVER = DEPLOY / 'server/Dockerfile'
TENSORFLOW_SERVING = DEPLOY / 'tensorflow_serving/Dockerfile'
BOTH = pytest.mark.parametrize(
  'path', [SERVER, TENSORFLOW_SERVING], ids=lambda path: path.parent.name
)


def lint(path: pathlib.Path) -> list[str]:
  """Returns the codes of what hadolint has to say."""
  done = subprocess.run(
    [BIN / 'hadolint', '--format', 'json', str(path)], capture_output=True, text=True
  )
  return [finding['code'] for finding in json.loads(done.stdout)]


@BOTH
def test_the_linter_has_nothing_to_say(path):
  assert lint(path) == []


@pytest.mark.parametrize(
  'line, planted, code',
  [
    ('USER 10001:10001', 'USER root', 'DL3002'),
    ('python:3.11.14-slim-trixie', 'python:latest', 'DL3007'),
    ('STOPSIGNAL SIGTERM', 'STOPSIGNL SIGTERM', 'DL1000'),
    ('WORKDIR /tmp', 'MAINTAINER nobody', 'DL4000'),
    ('WORKDIR /build', 'WORKDIR build', 'DL3000'),
  ],
)
def test_the_linter_sees_a_planted_mistake(tmp_path, line, planted, code):
  text = SERVER.read_text()
  assert line in text
  # The first stage's image is named by an argument, which is not looked into.
  text = text.replace('FROM ${PYTHON_IMAGE}', 'FROM python:3.11.14-slim-trixie')
  copy = tmp_path / 'Dockerfile'
  copy.write_text(text.replace(line, planted))
  assert code in lint(copy)


@BOTH
def test_it_runs_as_a_numbered_user_on_the_ports_of_tensorflow_serving(path):
  user, _, group = one(path, 'USER').partition(':')
  assert int(user) > 0 and int(group) > 0
  assert [int(port) for port in one(path, 'EXPOSE').split()] == [GRPC, REST]


@BOTH
def test_process_one_is_the_server_and_no_shell(path):
  # The form of a list; text would be handed to a shell, which keeps SIGTERM for itself.
  assert json.loads(one(path, 'ENTRYPOINT'))[0] in ('sightline', '/usr/bin/tensorflow_model_server')


def test_the_switch_to_the_old_keras_is_not_set():
  assert 'TF_USE_LEGACY_KERAS' not in SERVER.read_text()
  assert dict(instructions(SERVER))['STOPSIGNAL'] == 'SIGTERM'


def test_the_c_library_is_new_enough():
  # python:*-slim-trixie is Debian 13, whose C library is 2.41; 2.39 is needed.
  (image,) = [rest for name, rest in instructions(SERVER) if name == 'ARG']
  assert image == 'PYTHON_IMAGE=python:3.11.14-slim-trixie'


def copied(dockerfile: pathlib.Path) -> list[str]:
  """Returns what is copied out of the build context."""
  found = []
  for name, rest in instructions(dockerfile):
    if name == 'COPY' and not rest.startswith('--from'):
      found += rest.split()[:-1]
  return found


def test_what_the_server_image_copies_is_there_and_sent_to_the_builder():
  ignore = (DEPLOY / 'server/Dockerfile.dockerignore').read_text().splitlines()
  assert ignore[1] == '*'
  sent = {line[1:] for line in ignore if line.startswith('!')}
  sources = copied(SERVER)
  assert all((ROOT / source).exists() for source in sources)
  assert {source for source in sources if not source.startswith('deploy/config/')} == sent - {
    'deploy/config'
  }


def test_what_the_tensorflow_serving_image_copies_is_there():
  assert copied(TENSORFLOW_SERVING) and all(
    (DEPLOY / source).is_file() for source in copied(TENSORFLOW_SERVING)
  )


def test_every_package_of_ours_is_in_the_image():
  packages = re.search(r'^PACKAGES = \((.*)\)$', (ROOT / 'setup.py').read_text(), re.M)
  assert packages
  named = re.findall(r"'(\w+)'", packages[1])
  assert len(named) == 5 and set(named) < set(copied(SERVER))


class Answering(http.server.BaseHTTPRequestHandler):
  """Answers as either server would, well or not."""

  protocol_version = 'HTTP/1.1'

  def do_GET(self):
    well = self.server.well
    body = b'not found'
    if self.path == '/readyz':
      body = b'ok'
    if self.path == '/v1/models/digits':
      body = json.dumps({'state': 'AVAILABLE' if well else 'END'}).encode()
      well = True
    self.send_response(200 if well and body != b'not found' else 503)
    self.send_header('Content-Length', str(len(body)))
    self.end_headers()
    self.wfile.write(body)

  def log_message(self, *_):
    pass


def run_health_check(dockerfile: pathlib.Path, port: int) -> subprocess.CompletedProcess:
  command = [part.replace(str(REST), str(port)) for part in health_command(dockerfile)]
  command[0] = sys.executable if command[0] == 'python' else command[0]
  environment = {'MODEL_NAME': 'digits', 'PATH': '/usr/bin:/bin'}
  return subprocess.run(command, capture_output=True, env=environment)


@BOTH
@pytest.mark.parametrize('well, code', [(True, 0), (False, 1)])
def test_the_health_check_tells_well_from_unwell(path, well, code):
  server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Answering)
  server.well = well
  threading.Thread(target=server.serve_forever, daemon=True).start()
  try:
    done = run_health_check(path, server.server_address[1])
    assert done.returncode == code, done.stderr
  finally:
    server.shutdown()
    server.server_close()


@BOTH
def test_the_health_check_fails_where_nobody_listens(path):
  assert run_health_check(path, 1).returncode
