"""Publishing into a bucket: what servers are told of is whole, at every moment."""

import base64
import pathlib
import threading
import time

import httpx
import pytest
from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from components.publisher import bucket, destination
from schemas.errors import ServingError
from schemas.weights_hash import weights_sha256
from serving import model_config
from serving.frozen_servable import FrozenServable
from serving.server import EmbeddedServer, Settings
from tests.unit.components.publisher import object_store
from tests.unit.components.publisher.test_destination import files, make_export
from tests.unit.serving import exports

BASE = 'gs://shop/serving/digits'


@pytest.fixture
def store(tmp_path):
  with object_store.mounted(tmp_path / 'buckets') as made:
    yield made


@pytest.fixture
def export(tmp_path):
  return make_export(tmp_path / 'export')


def told(store) -> model_server_config_pb2.ModelConfig:
  text = store.at(f'{BASE}.config').read_text()
  config = text_format.Parse(text, model_server_config_pb2.ModelServerConfig())
  (row,) = config.model_config_list.config
  return row


def test_a_version_is_there_before_servers_are_told_of_it(store, export):
  assert bucket.Bucket(BASE).newest() is None
  published = bucket.Bucket(BASE).publish(export, 1795681024)
  assert published.new and published == bucket.Bucket(BASE).newest()
  assert (published.version, published.path) == (1795681024, f'{BASE}/1795681024')
  assert published.weights_sha256 == weights_sha256(export)
  row = told(store)
  assert (row.name, row.base_path, row.model_platform) == ('digits', BASE, 'tensorflow')
  assert list(row.model_version_policy.specific.versions) == [1795681024]
  assert files(store.at(published.path)) == files(export)
  names = [pathlib.Path(path).name for path in store.written]
  assert names[-2:] == ['saved_model.pb', 'digits.config']


def test_the_same_weights_are_published_once(store, export, tmp_path):
  first = bucket.Bucket(BASE).publish(export)
  count = len(store.written)
  again = bucket.Bucket(BASE).publish(make_export(tmp_path / 'again'))
  assert again == first and not again.new and len(store.written) == count
  second = bucket.Bucket(BASE).publish(make_export(tmp_path / 'two', b'two'), first.version)
  assert second.version > first.version
  assert bucket.Bucket(BASE).state() == f'{second.version} {second.weights_sha256}'
  assert list(told(store).model_version_policy.specific.versions) == [second.version]


@pytest.mark.parametrize('at', ['variables.index', 'saved_model.pb', 'digits.config'])
def test_a_publication_that_is_cut_off_changes_nothing_for_servers(store, export, tmp_path, at):
  first = bucket.Bucket(BASE).publish(export, 5)
  before = store.at(f'{BASE}.config').read_bytes()
  store.fails = at
  two = make_export(tmp_path / 'two', b'two')
  with pytest.raises(ServingError, match=r'gs://shop/serving/digits: .*connection was lost'):
    bucket.Bucket(BASE).publish(two, 6)
  assert store.at(f'{BASE}.config').read_bytes() == before
  assert bucket.Bucket(BASE).newest() == first
  store.fails = ''
  (store.at(BASE) / '6').mkdir(exist_ok=True)
  (store.at(BASE) / '6/left over').write_text('of the attempt')
  assert bucket.Bucket(BASE).publish(two, 6).version == 6
  assert files(store.at(f'{BASE}/6')) == files(two)


def test_an_object_that_is_not_what_was_written_is_noticed(store, export, monkeypatch):
  real = object_store.ObjectStore.open

  def damaged(path, mode='r'):
    stream = real(path, mode)
    if mode == 'rb' and path.endswith('00000-of-00001'):
      stream.write(b'?')
      stream.seek(0)
    return stream

  monkeypatch.setattr(object_store.ObjectStore, 'open', staticmethod(damaged))
  with pytest.raises(ServingError, match='expected the bytes of .*Servers were not told'):
    bucket.Bucket(BASE).publish(export)
  assert not store.at(f'{BASE}.config').exists()


def test_what_else_the_file_says_stays_and_labels_follow(store, export, tmp_path):
  first = bucket.Bucket(BASE).publish(export, 5)
  path = store.at(f'{BASE}.config')
  config = text_format.Parse(path.read_text(), model_server_config_pb2.ModelServerConfig())
  config.model_config_list.config[0].version_labels['stable'] = first.version
  config.model_config_list.config.add(name='other', base_path='gs://x/y')
  hashes = [line for line in path.read_text().splitlines() if line.startswith('#')]
  path.write_text('\n'.join([*hashes, text_format.MessageToString(config)]))
  bucket.Bucket(BASE).publish(make_export(tmp_path / 'two', b'two'), 6)
  found = text_format.Parse(path.read_text(), model_server_config_pb2.ModelServerConfig())
  mine, other = found.model_config_list.config
  assert dict(mine.version_labels) == {'stable': 6}
  assert (other.name, other.base_path) == ('other', 'gs://x/y')


def test_a_file_that_is_none_is_an_error_that_names_it(store, export):
  path = store.at(f'{BASE}.config')
  path.parent.mkdir(parents=True)
  path.write_text('versions: 3')
  with pytest.raises(ServingError, match=r'digits\.config: expected ModelServerConfig'):
    bucket.Bucket(BASE).publish(export)
  assert path.read_text() == 'versions: 3'


def test_below_a_mount_servers_are_given_the_address(tmp_path, export, monkeypatch):
  monkeypatch.setattr('schemas.storage.MOUNTS', {'gs://': str(tmp_path / 'gcs').removeprefix('/')})
  made = bucket.Bucket(str(tmp_path / 'gcs/shop/serving/digits'))
  made.publish(export, 7)
  config = model_server_config_pb2.ModelServerConfig()
  text_format.Parse((tmp_path / 'gcs/shop/serving/digits.config').read_text(), config)
  assert config.model_config_list.config[0].base_path == BASE


def test_no_poller_sees_half_a_version(store, tmp_path):
  """A server follows the file while versions arrive object by object."""
  store.seconds_an_object = 0.05
  one, two, three = (
    exports.write_image_model(tmp_path / f'made/{seed}', seed=seed) for seed in (1, 2, 3)
  )
  first = bucket.Bucket(BASE).publish(one, 1)
  local = tmp_path / 'models.config'
  seen: list[tuple[int, bool]] = []
  stop = threading.Event()

  def follow() -> None:
    """What a server with gs:// does: it reads the file, then the folders that it names."""
    while not stop.is_set():
      row = told(store)
      (number,) = row.model_version_policy.specific.versions
      folder = store.at(row.base_path) / str(number)
      whole = (folder / 'saved_model.pb').is_file()
      seen.append((number, whole and weights_sha256(folder) == expected.get(number)))
      config = model_server_config_pb2.ModelServerConfig()
      config.model_config_list.config.add().CopyFrom(row)
      config.model_config_list.config[0].base_path = str(store.at(row.base_path))
      model_config.write(local, config)
      time.sleep(0.01)

  expected = {number: weights_sha256(path) for number, path in ((1, one), (2, two), (3, three))}
  poller = threading.Thread(target=follow)
  poller.start()
  try:
    while not local.exists():
      time.sleep(0.01)
    failed, loaded = [], []

    def load(path):
      try:
        loaded.append(int(path.name))
        return FrozenServable(path)
      except Exception:
        failed.append(path)
        raise

    settings = Settings(port=0, grpc_port=0, poll_seconds=0.02, model_config_file=local, load=load)
    with EmbeddedServer(model_config.read(local), settings) as server:
      for number, path in ((2, two), (3, three)):
        bucket.Bucket(BASE).publish(path, number)
        until = time.monotonic() + 60
        while answering(server) != number:
          assert time.monotonic() < until
          time.sleep(0.05)
  finally:
    stop.set()
    poller.join()
  assert first.version == 1 and failed == [] and loaded == [1, 2, 3]
  assert all(whole for _, whole in seen) and {number for number, _ in seen} == {1, 2, 3}
  # Which shows something: a poller of the folder would have met halves.
  assert len(seen) > 20


def answering(server) -> int:
  body = {'instances': [{'b64': base64.b64encode(exports.encoded(1)).decode()}]}
  answer = httpx.post(f'{server.url}/v1/models/digits:predict', json=body)
  assert answer.status_code == 200, answer.text
  return int(answer.headers['x-model-version'])


def test_a_folder_would_have_shown_halves(store, tmp_path):
  """The control: whoever looks at the folder itself meets versions without their graph."""
  store.seconds_an_object = 0.05
  export = make_export(tmp_path / 'export')
  halves = []
  stop = threading.Event()

  def look() -> None:
    while not stop.is_set():
      folder = store.at(f'{BASE}/9')
      if folder.exists() and not (folder / 'saved_model.pb').exists():
        halves.append(1)
      time.sleep(0.005)

  poller = threading.Thread(target=look)
  poller.start()
  bucket.Bucket(BASE).publish(export, 9)
  stop.set()
  poller.join()
  assert halves
  assert destination.newest(store.at(BASE)).version == 9
