"""Base of every section of the config."""

import pydantic


class Node(pydantic.BaseModel):
  """Base of every section: frozen, and an unknown key is an error."""

  model_config = pydantic.ConfigDict(
    extra='forbid', frozen=True, populate_by_name=True, protected_namespaces=()
  )
