"""What it takes to repeat a run, and what is said where it cannot be found out."""

import hashlib
import importlib.metadata
import json
import os
import subprocess
import sys
import types

import pytest

from pipeline import code_fingerprint, doctor, provenance
from schemas.loader import build_config


@pytest.fixture
def config(tmp_path):
  tree = {'name': 'x', 'train': {'seed': 7}, 'data': {'split': {'seed': 3}}}
  return build_config(tree, 'test', working_directory=tmp_path)


@pytest.fixture
def checkout(tmp_path):
  """A checkout with one commit of one file in `models`."""
  root = tmp_path / 'checkout'
  (root / 'models').mkdir(parents=True)
  (root / 'models/net.py').write_text('x = 1\n')
  git(root, 'init', '-q')
  git(root, 'add', '.')
  git(root, '-c', 'user.name=A', '-c', 'user.email=a@b', 'commit', '-q', '-m', 'first')
  return root


def git(root, *words):
  done = subprocess.run(['git', '-C', root, *words], check=True, capture_output=True, text=True)
  return done.stdout.strip()


def test_a_clean_checkout_is_its_commit(checkout):
  found = provenance.code(checkout)
  assert found['git_sha'] == git(checkout, 'rev-parse', 'HEAD')
  assert (found['dirty'], found['changed'], found['diff_sha256']) == (False, [], None)
  assert found['git_reason'] is None


def test_changes_are_listed_and_another_content_is_another_hash(checkout):
  seen = []
  for content in ('x = 2\n', 'x = 3\n', 'x = 2\n'):
    (checkout / 'models/net.py').write_text(content)
    seen.append(provenance.code(checkout))
  assert [found['changed'] for found in seen] == [['models/net.py']] * 3
  assert all(found['dirty'] for found in seen)
  hashes = [found['diff_sha256'] for found in seen]
  assert hashes[0] == hashes[2] != hashes[1]
  content = hashlib.sha256(b'x = 2\n').digest()
  assert hashes[0] == hashlib.sha256(b'models/net.py\0' + content).hexdigest()


def test_new_code_and_a_deleted_file_are_changes_and_new_data_are_not(checkout):
  (checkout / 'data').mkdir()
  (checkout / 'data/image.png').write_text('')
  assert provenance.code(checkout)['dirty'] is False
  (checkout / 'models/grün ☃.py').write_text('')
  (checkout / 'models/net.py').unlink()
  found = provenance.code(checkout)
  assert found['changed'] == ['models/grün ☃.py', 'models/net.py']


def test_a_staged_change_is_one(checkout):
  (checkout / 'models/net.py').write_text('x = 2\n')
  git(checkout, 'add', '.')
  assert provenance.code(checkout)['changed'] == ['models/net.py']


def test_the_commit_of_a_checkout_that_merely_holds_the_packages_is_not_theirs(checkout):
  inside = checkout / 'site-packages'
  inside.mkdir()
  found = provenance.code(inside)
  assert (found['git_sha'], found['dirty']) == (None, None)
  assert 'is not the top of a checkout' in found['git_reason']
  assert len(found['sources']) == 16


def test_no_checkout_and_no_git_are_no_errors(tmp_path, monkeypatch):
  assert 'not a git repository' in provenance.code(tmp_path)['git_reason']
  monkeypatch.setenv('PATH', str(tmp_path))
  found = provenance.code(tmp_path)
  assert (found['git_sha'], found['git_reason']) == (None, 'git is not installed')


def test_a_hook_that_set_gits_variables_does_not_mislead(checkout, tmp_path, monkeypatch):
  other = tmp_path / 'other'
  other.mkdir()
  git(other, 'init', '-q')
  monkeypatch.setenv('GIT_DIR', str(other / '.git'))
  assert provenance.code(checkout)['git_sha'] is not None


def test_looking_leaves_the_index_alone(checkout):
  before = (checkout / '.git/index').stat().st_mtime_ns
  # Git would note down that the file is the same in spite of its time.
  os.utime(checkout / 'models/net.py', (1e9, 1e9))
  provenance.code(checkout)
  assert (checkout / '.git/index').stat().st_mtime_ns == before


def test_a_record_holds_config_seeds_lock_packages_machine_and_command(config):
  found = provenance.collect(config, ['sightline', 'run', 'a b.yaml'])
  assert found['command'] == ['sightline', 'run', 'a b.yaml']
  assert found['config']['train']['seed'] == 7
  seeds = {'data.split.seed': 3, 'audit.seed': 0, 'train.seed': 7, 'analysis.seed': 0}
  assert found['seeds'] == seeds
  text = doctor.lock_text()
  assert found['lock']['sha256'] == hashlib.sha256(text.encode()).hexdigest()
  assert found['packages']['keras'] == importlib.metadata.version('keras')
  assert set(found['packages']) == set(doctor.read_lock(text))
  assert found['system']['python'] == f'CPython {sys.version.split()[0]}'
  assert found['hardware']['cores'] == len(os.sched_getaffinity(0))
  with open('/proc/meminfo', encoding='utf-8') as stream:
    kib = int(stream.readline().split()[1])
  assert found['hardware']['memory_gib'] == pytest.approx(kib / 2**20, abs=0.06)
  assert found['code']['sources'] == code_fingerprint.fingerprint(*doctor.PACKAGES)


def test_the_hash_of_the_config_changes_with_a_field_and_with_nothing_else(config, tmp_path):
  first = provenance.collect(config, [])['config_sha256']
  assert provenance.collect(config, ['other'])['config_sha256'] == first
  # Keys in order, without blanks.
  text = json.dumps(
    json.loads(config.model_dump_json(by_alias=True)), sort_keys=True, separators=(',', ':')
  )
  assert first == hashlib.sha256(text.encode()).hexdigest()
  train = config.train.model_copy(update={'seed': 8})
  other = config.model_copy(update={'train': train})
  assert provenance.collect(other, [])['config_sha256'] != first


def test_a_package_of_another_version_and_a_missing_one_are_told(config, monkeypatch):
  lock = 'keras==0.1\nno-such-package==2.0\n'
  monkeypatch.setattr(doctor, 'lock_text', lambda: lock)
  found = provenance.collect(config, [])
  version = importlib.metadata.version('keras')
  assert found['packages'] == {'keras': version, 'no-such-package': None}
  assert found['lock']['deviations'] == [
    f'keras {version} (locked: 0.1)',
    'no-such-package is missing (locked: 2.0)',
  ]


def test_no_lock_is_no_error(config, monkeypatch):
  def none():
    raise FileNotFoundError(2, 'gone', '/the/lock')

  monkeypatch.setattr(doctor, 'lock_text', none)
  found = provenance.collect(config, [])
  assert found['lock'] == {'sha256': None, 'deviations': [], 'reason': 'no lock at /the/lock'}
  assert 'lock_sha256' not in provenance.properties(found)


def test_gpus_are_named_by_a_tensorflow_that_is_loaded_and_it_is_not_loaded_for_them(monkeypatch):
  monkeypatch.delitem(sys.modules, 'tensorflow', raising=False)
  assert provenance.gpus() is None
  assert 'tensorflow' not in sys.modules
  devices = [types.SimpleNamespace(name=f'/physical_device:GPU:{i}') for i in range(2)]
  details = {devices[0].name: {'device_name': 'A card'}, devices[1].name: {}}
  config = types.SimpleNamespace(
    list_physical_devices=lambda kind: devices if kind == 'GPU' else [],
    experimental=types.SimpleNamespace(get_device_details=lambda device: details[device.name]),
  )
  monkeypatch.setitem(sys.modules, 'tensorflow', types.SimpleNamespace(config=config))
  assert provenance.gpus() == ['A card', 'GPU:1']


def test_the_end_adds_the_data_and_the_summary_leaves_out_what_is_long(config, tmp_path):
  record = provenance.collect(config, [])
  assert record['data'] is None
  assert provenance.complete(record, {})['data'] is None
  done = provenance.complete(record, {'dataset_sha256': 'a', 'manifest_sha256': 'b', 'rows': 3})
  assert done['data'] == {'dataset_sha256': 'a', 'manifest_sha256': 'b'}
  short = provenance.compact(done)
  assert set(done) - set(short) == {'packages', 'config'}
  provenance.write(done, tmp_path)
  assert json.loads((tmp_path / 'provenance.json').read_text()) == done
  assert [path.name for path in tmp_path.iterdir()] == ['provenance.json']


def test_the_store_keeps_hashes_commit_and_flag(config):
  record = provenance.collect(config, [])
  record['code'] |= {'git_sha': 'abc', 'dirty': True}
  assert provenance.properties(record) == {
    'git_sha': 'abc',
    'dirty': 1,
    'config_sha256': record['config_sha256'],
    'lock_sha256': record['lock']['sha256'],
  }
  record['code'] |= {'git_sha': None, 'dirty': None}
  assert set(provenance.properties(record)) == {'config_sha256', 'lock_sha256'}
  assert provenance.properties({}) == {}
