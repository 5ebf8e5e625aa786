"""Audit: a page about the data, in every run, before anything is trained."""

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types.component_spec import ChannelParameter, ExecutionParameter

import components
from components.audit import executor
from schemas.config import AuditConfig, DataConfig

# What the page reads of section `data`: another change must not draw it anew.
_READ = {'root', 'labels', 'span', 'slice_columns', 'card', 'decisions'}


class AuditSpec(types.ComponentSpec):
  """Audit component spec."""

  INPUTS = {
    executor.DATASET: ChannelParameter(type=components.Dataset),
    executor.QUARANTINE: ChannelParameter(type=components.Quarantine),
  }
  OUTPUTS = {executor.AUDIT: ChannelParameter(type=components.Audit)}
  PARAMETERS = {
    executor.NAME: ExecutionParameter(type=str),
    executor.DATA: ExecutionParameter(type=str),
    executor.SETTINGS: ExecutionParameter(type=str),
    executor.CODE_FINGERPRINT: ExecutionParameter(type=str),
  }


class Audit(base_component.BaseComponent):
  """Shows what a person should see of the data before a model learns from it.

  Component `outputs`:
    - `audit`: components.Audit with audit.html, one self-contained page;
      findings.csv and suspects.csv, the same as rows; quarantine.csv, the rows
      that were not used; audit.json, the counts.
      A component that must not run on data that nobody could look at lists this
      one as an upstream node: with the folder of the artifact gone, TFX's cache
      does not serve it and the audit runs again first.

  Example:

  ```python
  audit = Audit(
      dataset=example_gen.outputs['dataset'],
      quarantine=example_gen.outputs['quarantine'],
      name=config.name,
      data=config.data,
      settings=config.audit,
      code_fingerprint=fingerprint_of_the_code)
  trainer.add_upstream_node(audit)
  ```
  """

  SPEC_CLASS = AuditSpec
  EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)

  def __init__(
    self,
    dataset: types.BaseChannel,
    quarantine: types.BaseChannel,
    name: str,
    data: DataConfig,
    settings: AuditConfig,
    code_fingerprint: str,
  ):
    """Wires the component.

    Args:
      dataset: of type components.Dataset.
      quarantine: of type components.Quarantine.
      name: of the data set, for the heading.
      data: section `data` of the config; where the files lie, the slice columns
        and the card are read.
      settings: section `audit` of the config.
      code_fingerprint: another one runs the component again.
    """
    super().__init__(
      spec=AuditSpec(
        **{
          executor.DATASET: dataset,
          executor.QUARANTINE: quarantine,
          executor.NAME: name,
          executor.DATA: data.model_dump_json(by_alias=True, include=_READ),
          executor.SETTINGS: settings.model_dump_json(),
          executor.CODE_FINGERPRINT: code_fingerprint,
          executor.AUDIT: types.Channel(type=components.Audit),
        }
      )
    )
