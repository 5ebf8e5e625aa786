"""Pictures inside the page, and those that are none of it."""

import base64

from pipeline.report import pictures
from tests.unit.pipeline.report.recorded import PNG


def test_a_picture_is_its_bytes(tmp_path):
  (tmp_path / 'a.png').write_bytes(PNG)
  kind, _, content = pictures.embed(tmp_path, 'a.png').partition(',')
  assert kind == 'data:image/png;base64' and base64.b64decode(content) == PNG


def test_what_is_missing_large_another_kind_or_elsewhere_is_left_out(tmp_path):
  inside = tmp_path / 'inside'
  inside.mkdir()
  (tmp_path / 'outside.png').write_bytes(PNG)
  (inside / 'a.svg').write_bytes(PNG)
  (inside / 'large.png').write_bytes(PNG + bytes(300_000))
  for name in (None, 'none.png', 'a.svg', 'large.png', '../outside.png'):
    assert pictures.embed(inside, name) is None
  assert pictures.embed(None, 'a.png') is None
