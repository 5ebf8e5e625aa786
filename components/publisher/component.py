"""The Publisher component."""

from tfx.components.pusher import component as pusher_component
from tfx.dsl.components.base import executor_spec

from components.publisher import driver, executor


class Publisher(pusher_component.Pusher):
  """A Pusher whose version appears whole, once, and again if it goes missing.

  Like Pusher it publishes only what `model_blessing` and `infra_blessing` allow.
  Unlike Pusher it renames a finished copy into place, so that a server never
  sees half a version; it publishes no weights that the newest version already
  holds; and the serving folder counts as an input, so that the result comes from
  the cache only while that folder is as it was. On Kubeflow, where custom drivers
  do not run, the last of these does not hold.

  Inputs:
    model: `standard_artifacts.Model`.
    model_blessing: `standard_artifacts.ModelBlessing`, optional.
    infra_blessing: `standard_artifacts.InfraBlessing`, optional.

  Outputs:
    pushed_model: `standard_artifacts.PushedModel` with a copy of the model and the
      custom properties `pushed`, `pushed_destination`, `pushed_version`,
      `weights_sha256` and `new`, 1 where the version was written in this execution, and
      `pushed_to_bucket` where there is one;
      of them only `pushed`, 0, if a blessing is missing.

  Parameters:
    push_destination: a `pusher_pb2.PushDestination` whose `filesystem.base_directory`
      is a local or shared POSIX folder. A version is a folder in it, named by the
      seconds since 1970. Where it lies below a mounted bucket (/gcs/...), as in a container of
      Kubeflow, it is written as components.publisher.bucket does.
    custom_config: `{'bucket': 'gs://bucket/folder/model'}` has each version copied there, too,
      under its number, and told to servers by gs://bucket/folder/model.config.

  ```python
  publisher = Publisher(
      model=trainer.outputs['model'],
      model_blessing=evaluator.outputs['blessing'],
      infra_blessing=serving_validator.outputs['blessing'],
      push_destination=pusher_pb2.PushDestination(
          filesystem=pusher_pb2.PushDestination.Filesystem(base_directory='serving/digits')))
  ```
  """

  EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)
  DRIVER_CLASS = driver.Driver
