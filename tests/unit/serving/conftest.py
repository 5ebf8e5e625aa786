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
