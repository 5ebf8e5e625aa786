"""ImageExampleGen: images and labels into checked, measured and split tf.Examples."""

from tfx import types
from tfx.dsl.components.base import base_beam_component, executor_spec
from tfx.types import standard_artifacts
from tfx.types.component_spec import ChannelParameter, ExecutionParameter

import components
from components.image_example_gen import component_keys as keys
from components.image_example_gen import driver, executor
from schemas.config import DataConfig

# What changes no record must not train anew.
# The span is a parameter of its own, which the driver resolves.
_NO_PART_OF_THE_RECORDS = {'bundled', 'card', 'on_drift', 'schema_path', 'slice_columns', 'span'}


class ImageExampleGenSpec(types.ComponentSpec):
  """ImageExampleGen component spec."""

  INPUTS: dict[str, ChannelParameter] = {}
  OUTPUTS = {
    keys.EXAMPLES: ChannelParameter(type=standard_artifacts.Examples),
    keys.QUARANTINE: ChannelParameter(type=components.Quarantine),
    keys.DATASET: ChannelParameter(type=components.Dataset),
  }
  PARAMETERS = {
    keys.CONFIG: ExecutionParameter(type=str),
    keys.STATE_DIR: ExecutionParameter(type=str),
    keys.CODE_FINGERPRINT: ExecutionParameter(type=str),
    keys.DATA_FINGERPRINT: ExecutionParameter(type=str, optional=True),
    keys.SPAN: ExecutionParameter(type=int, optional=True),
    keys.DATA_ROOT: ExecutionParameter(type=str, optional=True),
  }


class ImageExampleGen(base_beam_component.BaseBeamComponent):
  """Decodes every image once to check it, measures, splits and writes it.

  Component `outputs`:
    - `examples`: standard_artifacts.Examples with the splits train, val and
      test, and where data.production is true, production; keys in
      schemas/features.py.
    - `quarantine`: components.Quarantine, quarantine.csv.
    - `dataset`: components.Dataset, manifest.parquet, thumbnails.npy,
      findings.csv and dataset.json, with the custom properties `dataset_sha256`
      and `manifest_sha256`.

  Example:

  ```python
  example_gen = ImageExampleGen(
      data=config.data,
      state_dir=str(config.state),
      code_fingerprint=fingerprint_of_the_code)
  statistics_gen = StatisticsGen(examples=example_gen.outputs['examples'])
  ```
  """

  SPEC_CLASS = ImageExampleGenSpec
  EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(executor.Executor)
  DRIVER_CLASS = driver.Driver

  def __init__(
    self,
    data: DataConfig,
    state_dir: str,
    code_fingerprint: str,
    data_fingerprint=None,
    span=None,
    data_root=None,
  ):
    """Wires the component.

    Args:
      data: section `data` of the config; bundled, card, schema and slice_columns
        are not read.
      state_dir: a folder that outlives the run, for hashes of files, and for
        quarantine.csv of a run that failed.
      code_fingerprint: another one runs the component again.
      data_fingerprint: str or RuntimeParameter, taken as it is; for engines that
        run no drivers. By default the driver computes it from manifest, images
        and split lock.
      span: int or RuntimeParameter; by default data.span, or the latest that the
        driver finds.
      data_root: str or RuntimeParameter, for engines whose machines hold the data
        elsewhere; by default data.root.
    """
    spec = ImageExampleGenSpec(
      **{
        keys.CONFIG: data.model_dump_json(by_alias=True, exclude=_NO_PART_OF_THE_RECORDS),
        keys.STATE_DIR: state_dir,
        keys.CODE_FINGERPRINT: code_fingerprint,
        keys.DATA_FINGERPRINT: data_fingerprint,
        keys.SPAN: data.span if span is None else span,
        keys.DATA_ROOT: data_root,
        keys.EXAMPLES: types.Channel(type=standard_artifacts.Examples),
        keys.QUARANTINE: types.Channel(type=components.Quarantine),
        keys.DATASET: types.Channel(type=components.Dataset),
      }
    )
    super().__init__(spec=spec)
