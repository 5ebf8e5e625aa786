"""Who is asked, and models that a case may change."""

import contextlib
import pathlib
import shutil
from collections.abc import Iterator

import pytest

from tests.e2e.conformance import models, processes
from tests.e2e.conformance.client import Client, wait_for

EMBEDDED, GIVEN = 'embedded', 'given'


def pytest_generate_tests(metafunc):
  if 'server' in metafunc.fixturenames:
    asked = [EMBEDDED]
    if metafunc.config.getoption('--server'):
      asked = [GIVEN]
    elif shutil.which(processes.TENSORFLOW_SERVING):
      asked.append(processes.TENSORFLOW_SERVING)
    metafunc.parametrize('server', asked, indirect=True, scope='session')


@pytest.fixture(scope='session')
def model_folder(request, tmp_path_factory) -> pathlib.Path:
  """The test models: written here, or where --models says."""
  given = request.config.getoption('--models')
  if request.config.getoption('--server') and given is None:
    raise pytest.UsageError('--server: expected --models DIR with it. Received: none.')
  folder = given.absolute() if given else tmp_path_factory.mktemp('models')
  models.write_all(folder)
  return folder


@pytest.fixture(scope='session')
def server(request, model_folder, tmp_path_factory) -> Iterator[Client]:
  """The server that is asked, with two labels upon its two versions."""
  with contextlib.ExitStack() as running:
    folder = tmp_path_factory.mktemp(request.param)
    base = pathlib.PurePosixPath(model_folder)
    socket_path = str(folder / 'socket')
    if request.param == GIVEN:
      base = pathlib.PurePosixPath(request.config.getoption('--model-base') or base)
      address, _, grpc_port = request.config.getoption('--server').partition(',')
      host = address.rpartition(':')[0]
      client = Client(
        f'http://{address}', f'{host}:{grpc_port or 8500}', model_folder, base, embedded=False
      )
    else:
      config_file = processes.write_config(folder, base)
      if request.param == EMBEDDED:
        _, url, grpc_address = running.enter_context(
          processes.embedded(
            folder, '--model-config-file', str(config_file), '--grpc-socket-path', socket_path
          )
        )
      else:
        url, grpc_address = running.enter_context(
          processes.tensorflow_serving(folder, config_file, socket_path)
        )
      client = Client(
        url,
        grpc_address,
        model_folder,
        base,
        request.param == EMBEDDED,
        config_file if request.param == EMBEDDED else None,
        socket_path,
        folder / 'stderr.txt',
      )
    running.callback(client.close)
    client.reload(models.config(base))
    wait_for(lambda: _all_available(client), 'every model AVAILABLE')
    client.reload(models.labelled(base))
    yield client


def _all_available(client: Client) -> bool:
  names = [one.name for one in models.config(client.base).model_config_list.config]
  return all(
    state == 'AVAILABLE' for name in names for state in client.states(name).values()
  ) and set(client.states('two_versions')) == {models.VERSION, models.NEXT_VERSION}


@pytest.fixture(autouse=True)
def _by_who_is_asked(request):
  if 'server' not in request.fixturenames:
    return
  embedded = request.getfixturevalue('server').embedded
  if (marker := request.node.get_closest_marker('embedded_only')) and not embedded:
    pytest.skip(f'TensorFlow Serving differs: {marker.args[0]}')
  if (marker := request.node.get_closest_marker('not_yet')) and embedded:
    request.applymarker(pytest.mark.xfail(strict=True, reason=marker.args[0]))


class OwnModel:
  """A model of one case alone, whose versions come and go.

  Attributes:
    name: of the model.
    path: of its versions, on this machine.
    config: with it beside all others.
    entry: its part of the config.
  """

  def __init__(self, client: Client, name: str):
    self.client, self.name = client, name
    self.path = client.folder / name
    self.path.mkdir()
    self.config = models.labelled(client.base)
    self.entry = models.add(self.config, name, client.base / name)

  def add(self, version: int | str, like: str = 'half_plus_two') -> pathlib.Path:
    """Publishes a version as a copy of another model's, in one step."""
    with self.prepared(version, like) as folder:
      pass
    return self.path / folder.name.removeprefix('new-')

  @contextlib.contextmanager
  def prepared(self, version: int | str, like: str = 'half_plus_two') -> Iterator[pathlib.Path]:
    """Gives a version's folder to be changed; publishes it afterwards."""
    folder = self.path / f'new-{version}'
    shutil.copytree(self.client.folder / like / models.VERSION_FOLDER, folder)
    yield folder
    folder.rename(self.path / str(version))

  def remove(self, version: int | str) -> None:
    gone = self.path / f'gone-{version}'
    (self.path / str(version)).rename(gone)
    shutil.rmtree(gone)

  def serve(self) -> None:
    self.client.reload(self.config)

  def states(self) -> dict[int, str]:
    return self.client.states(self.name)

  def settled(self, version: int) -> str:
    """Waits until a version is in service or has failed; returns its state."""
    final = ('AVAILABLE', 'END')
    wait_for(lambda: self.states().get(version) in final, f'{self.name} {version}')
    return self.states()[version]

  def wait_for(self, states: dict[int, str]) -> None:
    """Waits until these versions have these states; others do not matter."""
    wait_for(lambda: states.items() <= self.states().items(), f'{self.name} {states}')


@pytest.fixture
def own_model(request, server) -> Iterator[OwnModel]:
  made = OwnModel(server, request.node.originalname.removeprefix('test_'))
  yield made
  server.reload(models.labelled(server.base))
  shutil.rmtree(made.path)
