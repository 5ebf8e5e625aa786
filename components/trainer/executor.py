"""Executor of the Trainer."""

from tfx.components.trainer import executor as trainer_executor


class Executor(trainer_executor.GenericExecutor):
  """Runs run_fn as TFX does, and adds `run_id` to its custom_config.

  The id cannot be a parameter of the component: it differs in every run, and no
  training would ever come from the cache.
  """

  def _GetFnArgs(self, input_dict, output_dict, exec_properties):  # noqa: N802 - TFX's name
    fn_args = super()._GetFnArgs(input_dict, output_dict, exec_properties)
    run_id = getattr(self._context, '_pipeline_run_id', None) or ''
    fn_args.custom_config = {**fn_args.custom_config, 'run_id': run_id}
    return fn_args
