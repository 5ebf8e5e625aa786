"""`sightline model verify`: which export, what is printed, and the exit code."""

import pathlib
import shutil

import pytest

from pipeline import verify_command
from schemas.errors import ConfigError, SightlineError
from tests.unit.serving import exports


@pytest.fixture(scope='module')
def base(tmp_path_factory):
  folder = tmp_path_factory.mktemp('base') / 'digits'
  exports.write_image_model(folder / '12', seed=1)
  return folder


@pytest.fixture(scope='module')
def server(base):
  with exports.served(base, 'digits', poll_seconds=3600) as running:
    yield running


def run(address, export=None, model=None, config=None, limit=None):
  return verify_command.run(address, model, export, config, limit, None)


def test_the_newest_version_of_a_folder_is_meant_and_its_name_is_the_models(base, server, capfd):
  assert run(server.url, base) == verify_command.SAME
  out = capfd.readouterr().out
  assert f'server   {server.url}, model digits' in out and f'export   {base / "12"}' in out
  assert 'version  12, expected 12: ok' in out and 'exif_6.jpg' in out
  assert '34 of 34 images are as expected' in out


def test_another_version_is_said_and_is_an_error(base, server, tmp_path, capfd):
  shutil.copytree(base / '12', tmp_path / 'digits/13')
  assert run(f'127.0.0.1:{server.grpc_port}', tmp_path / 'digits') == verify_command.OTHER
  assert 'version  12, expected 13: no' in capfd.readouterr().out
  # The same bytes without a version's name are the same model.
  shutil.move(tmp_path / 'digits/13', tmp_path / 'digits/export')
  assert run(server.url, tmp_path / 'digits/export', 'digits') == verify_command.SAME
  assert run(server.url, base, limit=0.0) == verify_command.OTHER


def test_what_cannot_be_asked(base, tmp_path):
  for export, config in ((None, None), (base, pathlib.Path('c.yaml'))):
    with pytest.raises(ConfigError, match='either --export or --config'):
      run('http://127.0.0.1:9', export, config=config)
  with pytest.raises(SightlineError, match='expected an export, or a folder with one a version'):
    run('http://127.0.0.1:9', tmp_path)
