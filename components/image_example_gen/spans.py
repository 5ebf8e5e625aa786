"""Spans: data that comes in instalments, each in a folder `span-N` below data.root.

Which one a run reads is found by ExampleGen's own mechanism; where its rows, the
split lock and the decisions lie is said here.
"""

import glob
import pathlib
import re

from components.image_example_gen import lock
from schemas.config import DataConfig
from schemas.errors import DataError

_FOLDER = re.compile(r'span-([0-9]+)')
# One split for all, as ExampleGen wants it; which image is in which is decided later.
_INPUT = 'rows'


def folders(data: DataConfig) -> dict[int, pathlib.Path]:
  """Returns the folder of each span, lowest first.

  None where data.root itself holds the manifest: then a folder `span-1` is one
  of images.

  Raises:
    DataError: two folders stand for the same span.
  """
  root = data.root
  if root is None or not root.is_dir() or (root / data.labels).is_file():
    return {}
  found: dict[int, pathlib.Path] = {}
  for path in sorted(root.iterdir()):
    match = _FOLDER.fullmatch(path.name)
    if match and path.is_dir():
      if int(match[1]) in found:
        raise DataError(
          f'{root}: expected one folder a span. Received: {found[int(match[1])].name} and '
          f'{path.name}. Rename one of them.'
        )
      found[int(match[1])] = path
  return dict(sorted(found.items()))


def resolve(data: DataConfig) -> int:
  """Returns the number of the span that a run reads: data.span, or the latest.

  By tfx.components.example_gen.utils, with the pattern span-{SPAN}/*. A data
  folder without spans is span 0, as with ExampleGen.

  Raises:
    DataError: there is no such span, or its folder is empty.
  """
  known = folders(data)
  if not known:
    at(data, data.span)  # complains where one is asked for
    return 0
  from tfx.components.example_gen import utils
  from tfx.proto import example_gen_pb2, range_config_pb2

  limits = None
  if data.span is not None:
    limits = range_config_pb2.RangeConfig(
      static_range=range_config_pb2.StaticRange(
        start_span_number=data.span, end_span_number=data.span
      )
    )
  try:
    _, span, _ = utils.calculate_splits_fingerprint_span_and_version(
      glob.escape(str(data.root)),
      [example_gen_pb2.Input.Split(name=_INPUT, pattern=f'span-{_placeholder(known)}/*')],
      limits,
    )
  except ValueError as error:
    raise _unknown(data, data.span, known) from error
  return span


def at(data: DataConfig, span: int | None = None) -> DataConfig:
  """Returns the section `data` as it reads for one span.

  The rows and images are those of the span's folder; the split lock stays in
  data.root, so that a copy in a later span keeps its split.

  Args:
    data: with the root of all spans.
    span: its number; by default data.span, or the latest.

  Raises:
    DataError: there is no such span.
  """
  known = folders(data)
  wanted = data.span if span is None else span
  if not known:
    if wanted:
      raise _unknown(data, wanted, known)
    return data
  if wanted is None:
    wanted = max(known)
  if wanted not in known:
    raise _unknown(data, wanted, known)
  assert data.root is not None  # folders() found some in it
  return data.model_copy(
    update={
      'root': known[wanted],
      'span': wanted,
      'lock': data.lock or data.root / lock.FILE_NAME,
      'decisions': str(data.root / data.decisions),
    }
  )


def _placeholder(known: dict[int, pathlib.Path]) -> str:
  """Returns {SPAN}, or {SPAN:2} where all numbers are padded with zeros to one width."""
  digits = [path.name.removeprefix('span-') for path in known.values()]
  widths = {len(each) for each in digits}
  padded = any(each.startswith('0') and len(each) > 1 for each in digits)
  return f'{{SPAN:{widths.pop()}}}' if padded and len(widths) == 1 else '{SPAN}'


def _unknown(data: DataConfig, span: int | None, known: dict[int, pathlib.Path]) -> DataError:
  if not known:
    return DataError(
      f'data.span: expected folders span-N in {data.root}. Received: none of that name, with '
      f'data.span {span}. Leave data.span out, or put each instalment into a folder span-N.'
    )
  listed = ', '.join(path.name for path in known.values())
  return DataError(
    f'data.span: expected one of {listed} in {data.root}, with images in it. Received: '
    f'{"the latest" if span is None else span}. Every folder named span- there must end in a '
    'number, all with the same number of digits where they begin with 0.'
  )
