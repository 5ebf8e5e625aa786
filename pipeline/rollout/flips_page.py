"""Draws the flips of a replay as one HTML file."""

import base64
import io
import os
import pathlib
from typing import Any

import jinja2
from PIL import Image, ImageOps

from components import audit
from models import image_file
from pipeline.report import gates
from pipeline.rollout.shadow import Flip, Replay

_TEMPLATE = 'flips.html.jinja'
_SIDE = 112
_QUALITY = 72


def write(found: Replay, name: str, log: pathlib.Path, path: pathlib.Path) -> None:
  """Writes the page, whole or not at all.

  Raises:
    OSError: the file cannot be written.
  """
  path.parent.mkdir(parents=True, exist_ok=True)
  draft = path.with_name(f'.{path.name}')
  draft.write_text(render(found, name, log), encoding='utf-8')
  os.replace(draft, path)


def render(found: Replay, name: str, log: pathlib.Path) -> str:
  """Returns the page.

  Args:
    found: what is shown.
    name: of the model.
    log: that was replayed.
  """
  pairs: dict[tuple[str, str], list[Flip]] = {}
  for flip in found.flips:
    pairs.setdefault((flip.before, flip.after), []).append(flip)
  # The most frequent change first.
  ordered = sorted(pairs.items(), key=lambda item: (-len(item[1]), item[0]))
  return (
    _environment()
    .get_template(_TEMPLATE)
    .render(
      name=name,
      log=str(log),
      found=found,
      replayed=found.rate['n'],
      pairs=[
        (before, after, len(flips), [_card(flip) for flip in flips if flip.image])
        for (before, after), flips in ordered
      ],
    )
  )


def _card(flip: Flip) -> dict[str, Any]:
  source, width, height = _thumbnail(flip.image or b'')
  return {'flip': flip, 'source': source, 'width': width, 'height': height}


def _thumbnail(data: bytes) -> tuple[str | None, int, int]:
  """Returns a data: address and its size; None where Pillow cannot read the picture."""
  try:
    with Image.open(io.BytesIO(image_file.prepare(data).encoded)) as image:
      image.draft('RGB', (_SIDE, _SIDE))
      upright = ImageOps.exif_transpose(image).convert('RGB')
  except (image_file.ImageFileError, OSError):
    return None, 0, 0
  upright.thumbnail((_SIDE, _SIDE))
  stream = io.BytesIO()
  upright.save(stream, 'WEBP', quality=_QUALITY, lossless=max(upright.size) <= 32)
  return f'data:image/webp;base64,{base64.b64encode(stream.getvalue()).decode()}', *upright.size


def _environment() -> jinja2.Environment:
  own = pathlib.Path(__file__).parent
  environment = jinja2.Environment(
    loader=jinja2.FileSystemLoader([own, pathlib.Path(audit.__file__).parent]),
    # Class names are anybody's text.
    autoescape=True,
    trim_blocks=True,
    undefined=jinja2.StrictUndefined,
  )
  environment.filters['share'] = gates.share
  environment.filters['between'] = gates.between
  return environment
