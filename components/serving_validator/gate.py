"""One gate between an export and its publication, in figures and in words."""

import dataclasses

from schemas.config import ServingValidatorConfig


@dataclasses.dataclass(frozen=True)
class Gate:
  """One demand and how it was met.

  Attributes:
    gate: its name; of a limit in the config, the key there.
    value: what was measured; None if nothing could be.
    limit: the largest value that passes.
    ok: whether it passes.
    unit: of value and limit.
    next_step: what to do if it does not pass.
    detail: what else was seen.
  """

  gate: str
  value: float | None
  limit: float
  ok: bool
  unit: str
  next_step: str
  detail: str = ''

  def sentence(self) -> str:
    """Says it in plain words; of several lines where `detail` has several."""
    value = 'not measured' if self.value is None else self._figure(self.value)
    detail = f' {self.detail}' if self.detail else ''
    if self.ok:
      return f'{self.gate}: {value}, limit {self._figure(self.limit)}.{detail}'
    return f'{self.gate} failed: {value}{self._allowed()}.{detail} {self.next_step}'

  def _allowed(self) -> str:
    if not self.limit:
      return ''  # Errors: that none is allowed goes without saying.
    allowed = f'; at most {self._figure(self.limit)} is allowed'
    if self.gate in ServingValidatorConfig.model_fields:
      allowed += f' (serving_validator.{self.gate})'
    return allowed

  def _figure(self, number: float) -> str:
    return f'{number:.4g} {self.unit}'.strip()
