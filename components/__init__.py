"""The TFX components that TFX lacks, a folder each, and their artifact types.

The artifact types are importable from here because their TYPE_NAME, which the
Kubeflow compiler and its container take as an import path, says so. They are
imported when first asked for: `import components` alone loads no TFX.
"""

import importlib

_ARTIFACTS = (
  'Analysis',
  'Audit',
  'Dataset',
  'Floors',
  'GateReport',
  'Predictions',
  'Quarantine',
)


def __getattr__(name: str):
  if name in _ARTIFACTS:
    return getattr(importlib.import_module('components.artifacts'), name)
  raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
