"""Where a version goes to: as TFX's message, or as the run parameter of a cluster."""

import pathlib

import pytest
from tfx.proto import pusher_pb2
from tfx.utils import proto_utils

from components.publisher import push_inputs
from schemas.errors import ServingError


def message(folder):
  filesystem = pusher_pb2.PushDestination.Filesystem(base_directory=folder)
  return proto_utils.proto_to_json(pusher_pb2.PushDestination(filesystem=filesystem))


@pytest.mark.parametrize('form', [message, str])
def test_both_forms_name_a_folder(form):
  given = {'push_destination': form('/gcs/bucket/serving/x')}
  assert push_inputs.base_directory(given) == pathlib.Path('/gcs/bucket/serving/x')


@pytest.mark.parametrize('form', [message, str])
@pytest.mark.parametrize('folder', ['', 'gs://bucket/serving'])
def test_what_has_no_rename_is_refused(form, folder):
  with pytest.raises(ServingError, match='expected a local or shared POSIX folder'):
    push_inputs.base_directory({'push_destination': form(folder)})
