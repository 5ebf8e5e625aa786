"""Pictures inside the page: it has no address but its own."""

import base64
import pathlib

# With what the page holds in all, it still opens at once and goes through mail.
_LARGEST = 300_000
_KINDS = {'.png': 'image/png', '.jpg': 'image/jpeg', '.jpeg': 'image/jpeg'}


def embed(folder: pathlib.Path | None, name: str | None) -> str | None:
  """Returns a picture as a data: address.

  Args:
    folder: that it has to lie in.
    name: of the file, relative to it.

  Returns:
    None where there is no such picture, it is of another kind, larger than 300 kB, or
    its name leads out of the folder.
  """
  if folder is None or not name:
    return None
  path = (folder / name).resolve()
  kind = _KINDS.get(path.suffix.lower())
  if kind is None or not path.is_relative_to(folder.resolve()) or not path.is_file():
    return None
  content = path.read_bytes()
  if len(content) > _LARGEST:
    return None
  return f'data:{kind};base64,{base64.b64encode(content).decode()}'
