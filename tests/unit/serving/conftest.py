import subprocess

import pytest

from tests.unit.serving import exports


@pytest.fixture(scope='session')
def image_model(tmp_path_factory):
  return exports.write_image_model(tmp_path_factory.mktemp('image_model') / '1', seed=1)


@pytest.fixture(scope='session')
def other_image_model(tmp_path_factory):
  return exports.write_image_model(tmp_path_factory.mktemp('other_image_model') / '1', seed=2)


@pytest.fixture(scope='session')
def unservable_model(tmp_path_factory):
  return exports.write_unservable_model(tmp_path_factory.mktemp('unservable') / '1')


@pytest.fixture(scope='session')
def affine_model(tmp_path_factory):
  return exports.write_affine_model(tmp_path_factory.mktemp('affine') / '1')


@pytest.fixture(scope='session')
def certificates(tmp_path_factory):
  folder = tmp_path_factory.mktemp('tls')
  subprocess.run(
    'openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 2 '
    '-subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1'.split(),
    cwd=folder,
    check=True,
    capture_output=True,
  )
  return folder
