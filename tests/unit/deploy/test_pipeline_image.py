"""The image of the pipeline: the linter's opinion, and what no linter knows; it is not built."""

import importlib.metadata
import json
import re
import subprocess

import pytest

from pipeline import compilation
from tests.unit.deploy.manifests import BIN, DEPLOY, ROOT, instructions

IMAGE = DEPLOY / 'pipeline/Dockerfile'
LOCK = ROOT / 'requirements/runtime.txt'


def lint(path):
  done = subprocess.run(
    [BIN / 'hadolint', '--format', 'json', str(path)], capture_output=True, text=True
  )
  return [finding['code'] for finding in json.loads(done.stdout)]


def argument(name):
  (found,) = [
    rest.partition('=')[2]
    for word, rest in instructions(IMAGE)
    if word == 'ARG' and rest.startswith(f'{name}=')
  ]
  return found


def test_the_linter_has_nothing_to_say():
  assert lint(IMAGE) == []


@pytest.mark.parametrize(
  ('line', 'planted', 'code'),
  [
    ('USER 10001:10001', 'USER root', 'DL3002'),
    ('WORKDIR /build', 'WORKDIR build', 'DL3000'),
    ('CMD ["sightline", "doctor"]', 'CMD sightline doctor', 'DL3025'),
    ('--no-install-recommends g++', 'g++', 'DL3015'),
  ],
)
def test_the_linter_sees_a_planted_mistake(tmp_path, line, planted, code):
  text = IMAGE.read_text()
  assert text.count(line) == 1
  copy = tmp_path / 'Dockerfile'
  copy.write_text(text.replace(line, planted))
  assert code in lint(copy)


def test_the_harness_is_that_of_the_locked_beam_and_python():
  (version,) = re.findall(r'^apache-beam==(\S+)', LOCK.read_text(), re.M)
  assert argument('BEAM_IMAGE') == f'apache/beam_python3.11_sdk:{version}'
  assert argument('PYTHON_IMAGE').startswith('python:3.11.')
  assert ('COPY', '--from=beam /opt/apache/beam /opt/apache/beam') in instructions(IMAGE)


def test_the_c_library_is_new_enough():
  # Debian 13 has 2.41; the oldest that TFX's wheels load with is 2.39.
  assert argument('PYTHON_IMAGE').endswith('-trixie')


def test_whoever_starts_it_gives_the_command():
  words = [word for word, _ in instructions(IMAGE)]
  assert 'ENTRYPOINT' not in words
  assert dict(instructions(IMAGE))['CMD'] == '["sightline", "doctor"]'


def test_python_is_that_of_the_lock_and_keras_is_not_switched_back():
  variables = dict(instructions(IMAGE))['ENV']
  assert 'PATH=/opt/sightline/bin:$PATH' in variables
  assert not any('TF_USE_LEGACY_KERAS' in rest for _, rest in instructions(IMAGE))


def test_every_package_is_of_a_lock_with_hashes():
  installs = [rest for word, rest in instructions(IMAGE) if word == 'RUN' and 'pip install' in rest]
  assert len(installs) == 2
  for rest in installs:
    assert '--no-deps' in rest
    assert '--require-hashes' in rest or '--no-index /dist/' in rest


def test_what_it_copies_is_there_and_sent_to_the_builder():
  ignore = (DEPLOY / 'pipeline/Dockerfile.dockerignore').read_text().splitlines()
  assert ignore[1] == '*'
  sent = {line[1:] for line in ignore if line.startswith('!')}
  assert all((ROOT / path).exists() for path in sent)
  copied = set()
  for word, rest in instructions(IMAGE):
    if word == 'COPY' and not rest.startswith('--from'):
      copied |= set(rest.split()[:-1])
  copied.remove('requirements/${LOCK}.txt')
  assert copied | {'requirements/runtime.txt', 'requirements/cuda.txt'} == sent


def test_the_tag_is_the_one_that_is_compiled_in():
  version = importlib.metadata.version('sightline')
  assert compilation.default_image() == f'sightline:{version}'
  assert f'-t {compilation.default_image()} .' in IMAGE.read_text()
