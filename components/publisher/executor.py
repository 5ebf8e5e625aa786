"""Publisher's work: obey the blessings, publish, and say what was published."""

import pathlib
from typing import Any

from absl import logging
from tfx import types
from tfx.components.pusher import executor as pusher_executor
from tfx.types import artifact_utils, standard_component_specs
from tfx.utils import io_utils

from components.publisher import destination, push_inputs


class Executor(pusher_executor.Executor):
  """See components.publisher.component.Publisher."""

  def Do(
    self,
    input_dict: dict[str, list[types.Artifact]],
    output_dict: dict[str, list[types.Artifact]],
    exec_properties: dict[str, Any],
  ) -> None:
    """Publishes the model if every blessing that is given allows it.

    Raises:
      ExportError: the model is no SavedModel with variables.
      ServingError: the destination is no local folder or cannot be written, or the bucket
        cannot.
    """
    self._log_startup(input_dict, output_dict, exec_properties)
    pushed = artifact_utils.get_single_instance(
      output_dict[standard_component_specs.PUSHED_MODEL_KEY]
    )
    if not self.CheckBlessing(input_dict):
      self._MarkNotPushed(pushed)
      return
    export = self.GetModelPath(input_dict)
    base = push_inputs.base_directory(exec_properties)

    restore = exec_properties.get(push_inputs.RESTORE_VERSION)
    mounted = push_inputs.mounted_bucket(base)
    published = (
      mounted.publish(pathlib.Path(export), restore)
      if mounted
      else destination.publish(pathlib.Path(export), base, restore)
    )
    copied = None
    if (bucket := push_inputs.bucket(exec_properties)) is not None:
      copied = bucket.publish(pathlib.Path(export), published.version)

    io_utils.copy_dir(export, pushed.uri)
    self._MarkPushed(pushed, str(published.path), str(published.version))
    new = published.new or (copied is not None and copied.new)
    pushed.set_int_custom_property(push_inputs.NEW, int(new))
    if copied is not None:
      pushed.set_string_custom_property(push_inputs.PUSHED_TO_BUCKET, str(copied.path))
    pushed.set_string_custom_property(push_inputs.WEIGHTS_SHA256, published.weights_sha256)
    logging.info('Version %d is in %s.', published.version, base)
