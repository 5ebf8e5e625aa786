"""SchemaGen, with the inferred schema curated."""

from tfx.components.schema_gen import component
from tfx.dsl.components.base import executor_spec

from components.schema_gen import executor


class SchemaGen(component.SchemaGen):
  """TFX's SchemaGen; see curation.py for what it leaves of the inferred schema.

  Component `outputs`:
    - `schema`: standard_artifacts.Schema, schema.pbtxt.

  Example:

  ```python
  schema_gen = SchemaGen(
      statistics=statistics_gen.outputs['statistics'], exclude_splits=['val', 'test'])
  ```
  """

  EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)
