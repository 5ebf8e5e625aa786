"""The short lock of the server's image: a part of the long one, and enough to serve."""

import os
import pathlib
import re
import signal
import subprocess
import sys

import httpx
import pytest

from tests.unit.deploy.manifests import DEPLOY, ROOT
from tests.unit.serving import exports

LOCK = DEPLOY / 'server/requirements.txt'
# Runs the command line where nothing can be imported that the lock does not hold.
ALONE = """
import importlib.metadata, re, sys

ours = {'schemas', 'models', 'serving', 'components', 'pipeline'}
locked = set(sys.argv.pop(1).split(','))
providers = importlib.metadata.packages_distributions()
short = lambda name: re.sub('[-_.]+', '-', name).lower()

class Refuse:
  def find_spec(self, name, path=None, target=None):
    top = name.partition('.')[0]
    if top in ours or top in sys.stdlib_module_names or name == 'google':
      return None
    # The namespace google is many packages'.
    found = ['protobuf'] if name.startswith('google.protobuf') else providers.get(top, [])
    if top == 'google' and not name.startswith('google.protobuf'):
      found = ['google-' + name]
    if found and not {short(one) for one in found} & locked:
      raise ModuleNotFoundError(f'{name} is not in the image')

sys.meta_path.insert(0, Refuse())
from pipeline import __main__
__main__.main()
"""


def pins(lock: pathlib.Path) -> dict[str, set[str]]:
  """Returns {name==version: hashes} of a lock."""
  found: dict[str, set[str]] = {}
  for line in lock.read_text().replace('\\\n', ' ').splitlines():
    if line and not line.startswith('#'):
      name, *hashes = line.split()
      found[name] = set(hashes)
  return found


def names(lock: pathlib.Path) -> set[str]:
  return {re.sub(r'[-_.]+', '-', pin.partition('==')[0]).lower() for pin in pins(lock)}


def test_every_pin_is_that_of_the_runtime_lock():
  short, long = pins(LOCK), pins(ROOT / 'requirements/runtime.txt')
  assert len(short) > 20 and all(short.values())
  differing = [name for name, hashes in short.items() if long.get(name) != hashes]
  assert not differing, f'{differing}: resolve {LOCK} anew: make lock'


def test_nothing_of_a_pipeline_is_in_it():
  assert not names(LOCK) & {'tfx', 'apache-beam', 'ml-metadata', 'kfp', 'pandas', 'scikit-learn'}


def alone(locked: set[str], *arguments: str) -> subprocess.Popen:
  return subprocess.Popen(
    [sys.executable, '-c', ALONE, ','.join(sorted(locked)), *arguments],
    cwd=ROOT,
    # Left by tests of Transform in this process: TensorFlow would look for Keras 2.
    env={k: v for k, v in os.environ.items() if k != 'TF_USE_LEGACY_KERAS'},
    stdout=subprocess.PIPE,
    stderr=subprocess.STDOUT,
    text=True,
  )


@pytest.mark.slow
def test_it_is_enough_to_serve_and_to_stop_cleanly(tmp_path):
  exports.write_affine_model(tmp_path / 'half/7')
  flags = ('--directory', str(tmp_path / 'half'), '--port', '0', '--grpc-port', '0')
  server = alone(names(LOCK), 'serve', *flags)
  said = ''
  try:
    while not (found := re.search(r'serving half at (\S+)', said)):
      line = server.stdout.readline()
      assert line, said
      said += line
    answer = httpx.post(f'{found[1]}:predict', json={'instances': [1.0, 2.0]}, timeout=30)
    # 0.5 x + 2
    assert answer.json() == {'predictions': [2.5, 3.0]}
    server.send_signal(signal.SIGTERM)
    assert server.wait(30) == 0
  finally:
    server.kill()
    server.stdout.close()


def test_a_package_that_were_missing_would_show():
  server = alone(names(LOCK) - {'typer'}, 'serve', '--help')
  said, _ = server.communicate(timeout=60)
  assert server.returncode and 'typer is not in the image' in said
