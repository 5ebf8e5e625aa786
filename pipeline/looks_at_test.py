"""How often a test set was looked at, and by how many candidates: from the metadata."""

import dataclasses
import pathlib
from typing import Any

from pipeline import metadata_store

SIGNIFICANT = 0.05


@dataclasses.dataclass(frozen=True)
class Looks:
  """At one test set, the ids and labels of whose images have this hash.

  Attributes:
    test_sha256: that hash.
    looks: evaluations, each run of the Evaluator that did not come from the cache.
    candidates: models among them, told apart by the hash of their weights.
    from_record: whether the last look read what an earlier one had been answered.
  """

  test_sha256: str
  looks: int
  candidates: int
  from_record: bool

  @property
  def level(self) -> float:
    """Below which a p is beyond chance, for all candidates together (Bonferroni)."""
    return SIGNIFICANT / max(self.candidates, 1)

  def as_dict(self) -> dict[str, Any]:
    """Returns it for summary.json, with `level` and, from two candidates on, `correction`."""
    return dataclasses.asdict(self) | {'level': self.level, 'correction': self._correction()}

  def _correction(self) -> str | None:
    if self.candidates < 2:
      return None
    return (
      f'{self.candidates} candidates were judged on these test images. The best of several is '
      f'partly luck: call a difference real where its p is below {self.level:.3g} (Bonferroni: '
      f'{SIGNIFICANT} / {self.candidates}), or judge the last one on images that nobody has seen.'
    )


def count(root: pathlib.Path, test_sha256: str, from_record: bool) -> Looks:
  """Counts the stored predictions on one test set.

  Args:
    root: of the experiment's runs.
    test_sha256: custom property of the predictions, as the Evaluator writes it.
    from_record: of the run that asks.
  """
  from tfx.orchestration import metadata

  with metadata.Metadata(metadata_store.of_root(root)) as handle:
    found = [
      artifact.custom_properties
      for artifact in handle.store.get_artifacts_by_type('components.Predictions')
      if artifact.custom_properties['test_sha256'].string_value == test_sha256
    ]
  weights = {properties['weights_sha256'].string_value for properties in found}
  return Looks(test_sha256, len(found), len(weights), from_record)
