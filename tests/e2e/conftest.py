"""One experiment a test file, shared by its tests."""

import pytest

from tests.e2e.experiment import Experiment, write_csv, write_images


@pytest.fixture(scope='module')
def experiment(tmp_path_factory) -> Experiment:
  made = Experiment(tmp_path_factory.mktemp('experiment'))
  write_csv(made.data, write_images(made.data))
  return made
