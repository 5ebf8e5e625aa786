"""Which versions are served, and how one takes the place of another."""

import shutil
import threading
import time

import grpc
import pytest

from tests.e2e.conformance import models
from tests.e2e.conformance.client import error_of, wait_for


def test_the_newest_is_served_by_default(server, own_model):
  own_model.add(1)
  own_model.add(2, like='half_plus_three')
  own_model.serve()
  own_model.wait_for({2: 'AVAILABLE'})
  assert server.predict_y(own_model.name) == (4.0, 2)
  assert own_model.states().get(1) in (None, 'END')


def test_the_latest_two(server, own_model):
  for version in (1, 2, 3):
    own_model.add(version)
  own_model.entry.model_version_policy.latest.num_versions = 2
  own_model.serve()
  own_model.wait_for({2: 'AVAILABLE', 3: 'AVAILABLE'})
  assert 1 not in own_model.states()
  error_of(server.post(f'{own_model.name}/versions/1:predict', {'instances': [2.0]}), 404)


def test_all(own_model):
  for version in (1, 2, 3):
    own_model.add(version)
  own_model.entry.model_version_policy.all.SetInParent()
  own_model.serve()
  own_model.wait_for({1: 'AVAILABLE', 2: 'AVAILABLE', 3: 'AVAILABLE'})


def test_specific_ones(server, own_model):
  for version in (1, 2, 3):
    own_model.add(version)
  # 9 is not there.
  own_model.entry.model_version_policy.specific.versions.extend([1, 3, 9])
  own_model.serve()
  own_model.wait_for({1: 'AVAILABLE', 3: 'AVAILABLE'})
  assert set(own_model.states()) == {1, 3}
  assert server.predict_y(own_model.name)[1] == 3


def test_leading_zeros_are_no_part_of_a_number(server, own_model):
  own_model.add('00000042')
  own_model.add('0000000043')
  own_model.entry.model_version_policy.specific.versions.append(42)
  own_model.serve()
  own_model.wait_for({42: 'AVAILABLE'})
  assert server.predict_y(own_model.name, version=42) == (3.0, 42)


def test_a_timestamp_and_a_zero_are_numbers(own_model):
  own_model.add(0)
  own_model.add(20260730000240)
  own_model.entry.model_version_policy.all.SetInParent()
  own_model.serve()
  own_model.wait_for({0: 'AVAILABLE', 20260730000240: 'AVAILABLE'})


def test_what_is_no_number_is_no_version(server, own_model):
  own_model.add(1)
  own_model.add('2.5', like='half_plus_three')
  own_model.add('v3', like='half_plus_three')
  (own_model.path / '4').write_text('a file', encoding='utf-8')
  own_model.entry.model_version_policy.specific.versions.append(1)
  own_model.serve()
  own_model.wait_for({1: 'AVAILABLE'})
  assert set(own_model.states()) == {1}
  assert server.predict_y(own_model.name) == (3.0, 1)


def test_another_policy(server, own_model):
  own_model.add(1)
  own_model.add(2)
  own_model.entry.model_version_policy.specific.versions.append(1)
  own_model.serve()
  own_model.wait_for({1: 'AVAILABLE'})
  own_model.entry.model_version_policy.all.SetInParent()
  own_model.serve()
  own_model.wait_for({1: 'AVAILABLE', 2: 'AVAILABLE'})
  own_model.entry.model_version_policy.specific.versions.append(2)
  own_model.serve()
  own_model.wait_for({1: 'END', 2: 'AVAILABLE'})


def test_a_new_version_is_found(server, own_model):
  own_model.add(1)
  own_model.serve()
  own_model.wait_for({1: 'AVAILABLE'})
  assert server.predict_y(own_model.name) == (3.0, 1)
  own_model.add(2, like='half_plus_three')
  own_model.wait_for({1: 'END', 2: 'AVAILABLE'})
  assert server.predict_y(own_model.name) == (4.0, 2)


def test_a_version_that_goes_gives_way_to_the_one_below(server, own_model):
  own_model.add(1)
  own_model.serve()
  own_model.wait_for({1: 'AVAILABLE'})
  own_model.add(2, like='half_plus_three')
  own_model.wait_for({1: 'END', 2: 'AVAILABLE'})
  own_model.remove(2)
  own_model.wait_for({1: 'AVAILABLE', 2: 'END'})
  assert server.predict_y(own_model.name) == (3.0, 1)


def test_the_last_version_stays_when_its_folder_goes(server, own_model):
  own_model.add(1)
  own_model.serve()
  own_model.wait_for({1: 'AVAILABLE'})
  own_model.remove(1)
  time.sleep(0.5 if server.embedded else 2.5)  # a few looks at the folder
  assert server.predict_y(own_model.name) == (3.0, 1)


def test_nobody_is_refused_while_versions_change(server, own_model):
  own_model.add(1)
  own_model.serve()
  own_model.wait_for({1: 'AVAILABLE'})
  answered, failed = [], []
  done = threading.Event()

  def ask():
    while not done.is_set():
      response = server.post(f'{own_model.name}:predict', {'instances': [2.0]})
      answered.append(response.json().get('predictions'))
      states = own_model.states().values()
      if response.status_code != 200 or 'AVAILABLE' not in states:
        failed.append((response.text, states))

  asking = threading.Thread(target=ask)
  asking.start()
  try:
    own_model.add(2, like='half_plus_three')
    own_model.wait_for({1: 'END', 2: 'AVAILABLE'})
    wait_for(lambda: [4.0] in answered, 'an answer of version 2')
  finally:
    done.set()
    asking.join()
  assert not failed
  assert answered[0] == [3.0]


def broken(own_model, version: int) -> None:
  with own_model.prepared(version) as folder:
    (folder / 'saved_model.pb').write_bytes(b'this is no SavedModel')


def test_a_broken_version_leaves_the_one_before(server, own_model):
  own_model.add(1)
  own_model.serve()
  own_model.wait_for({1: 'AVAILABLE'})
  broken(own_model, 2)
  own_model.wait_for({1: 'AVAILABLE', 2: 'END'})
  answer = server.get(f'/v1/models/{own_model.name}/versions/2')
  assert answer.status_code == 200
  rows = answer.json()['model_version_status']
  assert rows[0]['status']['error_code'] != 'OK'
  assert rows[0]['status']['error_message']
  assert server.predict_y(own_model.name) == (3.0, 1)
  error_of(server.post(f'{own_model.name}/versions/2:predict', {'instances': [2.0]}), 404)


def test_a_model_without_any_version_that_works(server, own_model):
  broken(own_model, 1)
  # The code is UNKNOWN of TensorFlow Serving and FAILED_PRECONDITION of the embedded server.
  with pytest.raises(grpc.RpcError):
    own_model.serve()
  own_model.wait_for({1: 'END'})
  error_of(server.post(f'{own_model.name}:predict', {'instances': [2.0]}), 404)
  assert server.predict_y('half_plus_two') == (3.0, 123)
  own_model.add(2)
  own_model.wait_for({2: 'AVAILABLE'})
  assert server.predict_y(own_model.name) == (3.0, 2)


def test_a_version_after_a_broken_one(server, own_model):
  own_model.add(1)
  own_model.serve()
  own_model.wait_for({1: 'AVAILABLE'})
  broken(own_model, 2)
  own_model.wait_for({2: 'END'})
  own_model.add(3, like='half_plus_three')
  own_model.wait_for({1: 'END', 3: 'AVAILABLE'})
  assert server.predict_y(own_model.name) == (4.0, 3)


@pytest.mark.embedded_only('a folder without saved_model.pb fails, and is tried again a minute on')
def test_a_folder_that_is_still_filled_is_not_yet_a_version(server, own_model):
  own_model.add(1)
  own_model.serve()
  own_model.wait_for({1: 'AVAILABLE'})
  source = server.folder / 'half_plus_three' / models.VERSION_FOLDER
  shutil.copytree(source, own_model.path / '2', ignore=shutil.ignore_patterns('saved_model.pb'))
  time.sleep(0.5)
  assert own_model.states() == {1: 'AVAILABLE'}
  shutil.copy(source / 'saved_model.pb', own_model.path / '2')
  own_model.wait_for({1: 'END', 2: 'AVAILABLE'})
  assert server.predict_y(own_model.name) == (4.0, 2)


@pytest.mark.embedded_only('a version that failed is not loaded again when its files change')
def test_a_broken_version_is_repaired(server, own_model):
  own_model.add(1)
  own_model.serve()
  own_model.wait_for({1: 'AVAILABLE'})
  broken(own_model, 2)
  own_model.wait_for({2: 'END'})
  source = server.folder / 'half_plus_three' / models.VERSION_FOLDER / 'saved_model.pb'
  repaired = own_model.path / 'repaired.pb'
  shutil.copy(source, repaired)
  repaired.rename(own_model.path / '2' / 'saved_model.pb')
  own_model.wait_for({1: 'END', 2: 'AVAILABLE'})
