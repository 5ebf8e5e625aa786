"""What a training is called with, as a file that other processes read."""

import dataclasses
import json
import os
import pathlib
from collections.abc import Mapping
from typing import Any

from schemas.errors import TrainingError

# Below the state folder of a run root; every worker of a training reads it there.
FILE = 'training_call.json'


@dataclasses.dataclass(frozen=True)
class TrainingCall:
  """The part of TFX's FnArgs that run_fn reads; see there."""

  train_files: list[str]
  eval_files: list[str]
  transform_output: str
  serving_model_dir: str
  model_run_dir: str
  hyperparameters: Mapping[str, Any] | None
  custom_config: Mapping[str, Any]

  @classmethod
  def of(cls, fn_args: Any) -> 'TrainingCall':
    """Takes it from what TFX's Trainer gives."""
    return cls(
      list(fn_args.train_files),
      list(fn_args.eval_files),
      fn_args.transform_output,
      fn_args.serving_model_dir,
      fn_args.model_run_dir,
      fn_args.hyperparameters,
      fn_args.custom_config,
    )

  def write(self, path: pathlib.Path) -> None:
    """Writes it whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f'.{path.name}.tmp')
    draft.write_text(json.dumps(dataclasses.asdict(self)), encoding='utf-8')
    os.replace(draft, path)

  @classmethod
  def read(cls, path: pathlib.Path) -> 'TrainingCall':
    """Reads what `write` wrote.

    Raises:
      TrainingError: there is no such call.
    """
    try:
      return cls(**json.loads(path.read_text(encoding='utf-8')))
    except (OSError, ValueError, TypeError) as error:
      raise TrainingError(
        f'{path}: expected what a Trainer is called with. Received: {error}. Next: see that all '
        'workers have the run root under the same path.'
      ) from error
