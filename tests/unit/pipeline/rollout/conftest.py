import pytest

from pipeline.rollout import move
from schemas import loader
from schemas.weights_hash import weights_sha256
from tests.unit.pipeline import run_store

VERSIONS = ('100', '200', '300')


def write_version(folder, version):
  """A version as far as labels ask: a model file, and weights of its own."""
  path = folder / version
  (path / 'variables').mkdir(parents=True)
  (path / 'saved_model.pb').write_bytes(b'graph')
  (path / 'variables/variables.index').write_bytes(version.encode())
  return path


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
  monkeypatch.setattr(move, '_LOOK_SECONDS', 0.01)


@pytest.fixture
def config(tmp_path):
  """An experiment that has published three versions, with the record of it."""
  path = tmp_path / 'fruit.yaml'
  path.write_text('name: fruit\nrun: {root: root}\n')
  config = loader.load_config(path, working_directory=tmp_path)
  config.run.root.mkdir()
  store = run_store.Store(config.run.root)
  for place, version in enumerate(VERSIONS):
    folder = write_version(config.publish.directory / 'fruit', version)
    run = f'2026110{place}-120000'
    pushed = store.artifact(
      'PushedModel', str(folder), pushed_version=version, weights_sha256=weights_sha256(folder)
    )
    store.execution(run, 'Publisher', [], [pushed])
  return config
