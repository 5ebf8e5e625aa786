"""Executor of the Trainer."""

from collections.abc import Mapping
from typing import Any

from tfx.components.trainer import executor as trainer_executor

from schemas import loader
from schemas.config import Config

# Fields of section `train` that a submission may set, and their types.
RUN_PARAMETERS: dict[str, type] = {'epochs': int, 'batch_size': int, 'learning_rate': float}


class Executor(trainer_executor.GenericExecutor):
  """Runs run_fn as TFX does, and adds to its custom_config what only a run knows.

  The id of the run cannot be a parameter of the component: it differs in every run, and no
  training would ever come from the cache.
  """

  def _GetFnArgs(self, input_dict, output_dict, exec_properties):  # noqa: N802 - TFX's name
    fn_args = super()._GetFnArgs(input_dict, output_dict, exec_properties)
    run_id = getattr(self._context, '_pipeline_run_id', None) or ''
    given = with_run_parameters(fn_args.custom_config, exec_properties)
    fn_args.custom_config = {**given, 'run_id': run_id}
    return fn_args


def with_run_parameters(
  custom_config: Mapping[str, Any], exec_properties: Mapping[str, Any]
) -> dict[str, Any]:
  """Puts the run parameters that were given into the experiment.

  Args:
    custom_config: what run_fn reads; `config` is a Config as JSON.
    exec_properties: of the component.

  Raises:
    ConfigError: a value cannot be used.
  """
  values = {
    f'train.{name}': exec_properties[name]
    for name in RUN_PARAMETERS
    if exec_properties.get(name) is not None
  }
  if not values:
    return dict(custom_config)
  config = Config.model_validate_json(custom_config['config'])
  changed = loader.with_values(config, values, 'run parameters')
  return {**custom_config, 'config': changed.model_dump_json(by_alias=True)}
