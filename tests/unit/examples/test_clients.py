"""Each sample in examples/clients, started as its head says, against a real server."""

import pathlib
import re
import shutil
import subprocess
import sys

import pytest

from tests.unit.serving import exports

CLIENTS = pathlib.Path(__file__).parents[3] / 'examples/clients'
NODE = shutil.which('node')
NEEDS_NODE = 18


def _node_version() -> int:
  if NODE is None:
    return 0
  said = subprocess.run([NODE, '--version'], capture_output=True, text=True, check=True).stdout
  return int(re.match(r'v(\d+)', said).group(1))


node = pytest.mark.skipif(
  _node_version() < NEEDS_NODE, reason=f'needs Node {NEEDS_NODE} or later on PATH'
)
curl = pytest.mark.skipif(shutil.which('curl') is None, reason='needs curl on PATH')
# The command, whether it speaks gRPC, and whether it takes several images.
SAMPLES = [
  pytest.param(['sh', 'ask.sh'], False, False, marks=curl, id='curl'),
  pytest.param([sys.executable, 'ask_rest.py'], False, True, id='python-rest'),
  pytest.param([sys.executable, 'ask_grpc.py'], True, True, id='python-grpc'),
  pytest.param([NODE, 'ask.mjs'], False, True, marks=node, id='node'),
]


@pytest.fixture(scope='module')
def server(tmp_path_factory):
  base = tmp_path_factory.mktemp('base')
  exports.write_image_model(base / '7', seed=1)
  with exports.served(base, 'digits', poll_seconds=3600) as running:
    yield running


def start(sample, *arguments):
  program, file = sample
  return subprocess.run(
    [program, str(CLIENTS / file), *map(str, arguments)],
    capture_output=True,
    text=True,
    timeout=120,
  )


def expected(seed):
  probabilities = exports.expected_probabilities(1, exports.picture(seed))
  return exports.LABELS[int(probabilities.argmax())], float(probabilities.max())


@pytest.mark.parametrize(('sample', 'by_grpc', 'several'), SAMPLES)
def test_a_sample_prints_the_label_and_who_answered(server, tmp_path, sample, by_grpc, several):
  seeds = (8, 22) if several else (8,)
  paths = [tmp_path / f'{seed} of several.png' for seed in seeds]
  for seed, path in zip(seeds, paths, strict=True):
    path.write_bytes(exports.encoded(seed))
  address = f'127.0.0.1:{server.grpc_port}' if by_grpc else server.url
  done = start(sample, address, 'digits', *paths)
  assert done.returncode == 0, done.stderr
  for seed, line in zip(seeds, done.stdout.splitlines(), strict=True):
    label, probability, *rest = line.split()
    assert (label, rest) == (expected(seed)[0], ['version', '7'])
    assert float(probability) == pytest.approx(expected(seed)[1], abs=1e-5)


@pytest.mark.parametrize(
  ('sample', 'by_grpc'), [pytest.param(*s.values[:2], marks=s.marks, id=s.id) for s in SAMPLES[:2]]
)
def test_a_refusal_is_shown_and_ends_with_an_error(server, tmp_path, sample, by_grpc):
  path = tmp_path / 'text.png'
  path.write_text('hello')
  done = start(sample, server.url, 'digits', path)
  assert done.returncode != 0
  assert 'not_an_image' in done.stderr
  assert done.stdout == ''


def test_the_images_of_this_test_have_different_labels():
  # Else a sample that always prints one label would pass.
  assert expected(8)[0] != expected(22)[0]


@pytest.mark.parametrize('path', sorted(CLIENTS.glob('ask*')), ids=lambda path: path.name)
def test_a_sample_is_short_and_listed(path):
  assert 15 <= len(path.read_text().splitlines()) <= 40
  assert f'`{path.name}`' in (CLIENTS / 'README.md').read_text()
