import os
import pathlib
import shutil
import signal
import subprocess
import sys
import threading
import time

import pytest

from components.publisher import destination
from schemas.errors import ExportError, ServingError
from schemas.weights_hash import weights_sha256


def make_export(path: pathlib.Path, weights: bytes = b'one', large: int = 0) -> pathlib.Path:
  """Publishing reads file names and bytes alone, so these need not be a model."""
  (path / 'variables').mkdir(parents=True)
  (path / 'assets.extra').mkdir()
  (path / 'saved_model.pb').write_bytes(b'graph')
  (path / 'variables/variables.index').write_bytes(weights)
  (path / 'variables/variables.data-00000-of-00001').write_bytes(weights + b'x' * large)
  (path / 'assets.extra/sightline.json').write_text('{}')
  return path


@pytest.fixture
def export(tmp_path):
  return make_export(tmp_path / 'export')


@pytest.fixture
def base(tmp_path):
  return tmp_path / 'serving/digits'


def files(path):
  return {
    str(item.relative_to(path)): item.read_bytes() for item in path.rglob('*') if item.is_file()
  }


def numeric(base):
  return sorted(int(path.name) for path in base.iterdir() if path.name.isdigit())


def test_the_first_version_is_the_time_and_a_whole_copy(export, base):
  before = int(time.time())
  published = destination.publish(export, base)
  assert before <= published.version <= time.time()
  assert files(published.path) == files(export)
  assert published == destination.newest(base)
  assert [path.name for path in base.iterdir() if path.is_dir()] == [str(published.version)]


def test_the_same_weights_are_published_once(export, base, tmp_path):
  first = destination.publish(export, base)
  again = make_export(tmp_path / 'again')
  (again / 'saved_model.pb').write_bytes(b'another graph, the same weights')
  same = destination.publish(again, base)
  assert same == first and first.new and not same.new
  assert numeric(base) == [first.version]


def test_weights_that_an_older_version_holds_are_published_again(export, base, tmp_path):
  first = destination.publish(export, base)
  second = destination.publish(make_export(tmp_path / 'two', b'two'), base)
  third = destination.publish(export, base)
  assert first.version < second.version < third.version
  assert third.weights_sha256 == first.weights_sha256 != second.weights_sha256


@pytest.mark.parametrize('name', ['99999999999', '00099999999999'])
def test_a_number_above_every_existing_one_even_an_unfinished_one(export, base, name):
  (base / name).mkdir(parents=True)
  assert destination.newest(base) is None  # no saved_model.pb
  assert destination.publish(export, base).version == int(name) + 1


def test_no_number_is_left(export, base):
  (base / str((1 << 63) - 1)).mkdir(parents=True)
  with pytest.raises(ServingError, match='Rename that folder'):
    destination.publish(export, base)


def test_a_missing_version_comes_back_under_its_number_where_it_is_highest(export, base, tmp_path):
  first = destination.publish(export, base)
  shutil.rmtree(first.path)
  assert destination.publish(export, base, restore_version=first.version) == first
  second = destination.publish(make_export(tmp_path / 'two', b'two'), base)
  shutil.rmtree(first.path)
  third = destination.publish(export, base, restore_version=first.version)
  assert third.version > second.version


def test_a_damaged_version_is_replaced_by_a_newer_one(export, base):
  first = destination.publish(export, base)
  (first.path / 'variables/variables.index').write_bytes(b'damaged')
  second = destination.publish(export, base)
  assert second.version > first.version
  shutil.rmtree(second.path / 'variables')
  third = destination.publish(export, base)
  assert third.version > second.version and third.weights_sha256 == weights_sha256(export)


def test_state_follows_what_is_newest(export, base, tmp_path):
  assert destination.state(base) == 'empty'
  first = destination.publish(export, base)
  state = destination.state(base)
  assert state == f'{first.version} {weights_sha256(export)}'
  (base / 'publishing-1').mkdir()
  assert destination.state(base) == state
  destination.publish(make_export(tmp_path / 'two', b'two'), base)
  assert destination.state(base) != state


def test_leftovers_go_and_other_files_stay(export, base):
  (base / 'publishing-123/variables').mkdir(parents=True)
  (base / 'notes').mkdir()
  destination.publish(export, base)
  assert not (base / 'publishing-123').exists()
  assert (base / 'notes').exists()


def test_no_export_and_no_folder(tmp_path, base, export):
  with pytest.raises(ExportError, match='saved_model.pb'):
    destination.publish(tmp_path, base)
  base.parent.mkdir(parents=True)
  base.write_text('a file')
  with pytest.raises(ServingError, match='can be written'):
    destination.publish(export, base)


def test_a_half_copy_is_never_a_version(tmp_path, base):
  """Somebody who looks all the time sees only whole versions."""
  export = make_export(tmp_path / 'export', large=30_000_000)
  names = set(files(export))
  stop, seen = threading.Event(), []

  def look():
    while not stop.is_set():
      if base.exists():
        seen.extend(set(files(path)) for path in base.iterdir() if path.name.isdigit())

  watcher = threading.Thread(target=look)
  watcher.start()
  destination.publish(export, base)
  time.sleep(0.05)
  stop.set()
  watcher.join()
  assert seen and all(found == names for found in seen)


def test_a_killed_publisher_leaves_no_version_and_the_next_one_cleans_up(tmp_path, base):
  export = make_export(tmp_path / 'export', large=200_000_000)
  code = (
    'import pathlib, sys; from components.publisher import destination; '
    'destination.publish(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))'
  )
  process = subprocess.Popen([sys.executable, '-c', code, str(export), str(base)])
  deadline = time.monotonic() + 60
  while not list(base.glob('publishing-*')) and time.monotonic() < deadline:
    pass
  os.kill(process.pid, signal.SIGKILL)
  process.wait()
  assert numeric(base) == []
  assert list(base.glob('publishing-*'))
  published = destination.publish(export, base)
  assert numeric(base) == [published.version]
  assert not list(base.glob('publishing-*'))


def test_two_publishers_at_once_publish_one_weight_once(export, base):
  results = []
  threads = [
    threading.Thread(target=lambda: results.append(destination.publish(export, base)))
    for _ in range(4)
  ]
  for thread in threads:
    thread.start()
  for thread in threads:
    thread.join()
  assert len(results) == 4 and len(set(results)) == 1
  assert sum(result.new for result in results) == 1
  assert numeric(base) == [results[0].version]
