"""The audit of a hand-made data set: page, CSVs and counts agree with what was planted."""

import csv
import html.parser
import json
import re
import shutil

import numpy as np
import pytest
from PIL import Image, ImageFilter

from components.audit import report
from schemas.config import AuditConfig, CardConfig, DataConfig

NASTY = '<script>alert(1)</script> &".png'
COLOURS = ('red', 'green', 'blue')


class Parsed(html.parser.HTMLParser):
  """Tags with their attributes, and the text."""

  def __init__(self, text):
    super().__init__()
    self.tags, self.words = [], []
    self.feed(text)

  def handle_starttag(self, tag, attrs):
    self.tags.append((tag, dict(attrs)))

  def handle_data(self, data):
    self.words.append(data)

  def all(self, wanted):
    return [attributes for tag, attributes in self.tags if tag == wanted]


@pytest.fixture
def rows():
  """33 images of a class, 4 of them odd, and 7 of another."""
  labels = ['red'] * 33 + ['green'] * 24 + ['blue'] * 7
  return [
    (
      NASTY if number == 3 else f'{number:02d}.png',
      label,
      ('phone' if label != 'blue' else 'desk',),
    )
    for number, label in enumerate(labels)
  ]


@pytest.fixture
def odd():
  rng = np.random.default_rng(0)
  sharp = Image.fromarray(rng.integers(0, 256, (44, 60, 3), dtype=np.uint8))
  return {
    '05.png': rng.integers(0, 5, (44, 60, 3), dtype=np.uint8),
    '06.png': np.asarray(sharp.filter(ImageFilter.GaussianBlur(1.5))),
  }


@pytest.fixture
def audited(make_artifacts, rows, odd, tmp_path):
  made = make_artifacts(
    rows,
    odd,
    columns=('device',),
    findings=[
      ('near_copy', '10.png', NASTY, 'red', 'red', 'train', 'train', 're-encoded'),
      ('leak', '11.png', '13.png', 'red', 'red', 'train', 'test', 'mirrored'),
      ('label_conflict', '12.png', '40.png', 'red', 'green', 'train', 'val', 'same pixels'),
      ('exact_copy', '15.png', '16.png', 'red', 'red', '', 'train', 'same pixels'),
      ('gps', '14.png', '', 'red', '', 'train', '', 'the place'),
    ],
    quarantined=[(99, 'gone.png', 'missing_file', 'not found under images.')],
    would_stop=['the split leaks: 11.png and 13.png'],
  )
  (tmp_path / 'out').mkdir()

  def audit(**settings):
    summary = report.write(
      'fruit & <b>more',
      made.dataset,
      made.quarantine,
      DataConfig(
        root=made.root, slice_columns=('device',), card=CardConfig(source='a field', licence='CC0')
      ),
      AuditConfig(**settings),
      tmp_path / 'out',
    )
    text = (tmp_path / 'out/audit.html').read_text(encoding='utf-8')
    with open(tmp_path / 'out/findings.csv', encoding='utf-8', newline='') as stream:
      return summary, text, list(csv.DictReader(stream))

  audit.made, audit.out = made, tmp_path / 'out'
  return audit


def test_what_was_planted_is_in_the_csv(audited):
  summary, _, findings = audited()
  codes = {(row['code'], row['filename']) for row in findings}
  assert {
    ('near_copy', '10.png'),
    ('leak', '11.png'),
    ('label_conflict', '12.png'),
    ('gps', '14.png'),
    ('black', '05.png'),
    ('blurred', '06.png'),
  } <= codes
  by_code = {row['code']: row for row in findings}
  assert by_code['leak']['decision'] == '11.png,drop,,leak'  # the one that was trained on
  assert by_code['near_copy']['decision'].endswith(',drop,,near_copy')
  assert NASTY in next(csv.reader([by_code['near_copy']['decision']]))
  # Of two equal files ingest uses the second; the first can go for good.
  assert by_code['exact_copy']['decision'] == '15.png,drop,,exact_copy'
  assert by_code['label_conflict']['suggestion'] == 'green'
  assert float(by_code['black']['value']) < 0.04
  assert ('few_images', '') in codes and by_code['few_in_class']['label'] == 'blue'
  missing = {(row['label'], row['detail']) for row in findings if row['code'] == 'missing_cell'}
  assert missing == {
    ('blue', 'no image with device=phone'),
    ('red', 'no image with device=desk'),
    ('green', 'no image with device=desk'),
  }
  assert summary['findings'] == {
    code: sum(row['code'] == code for row in findings) for code in {row['code'] for row in findings}
  }
  assert json.loads((audited.out / 'audit.json').read_text(encoding='utf-8')) == summary
  assert summary['would_stop'] == ['the split leaks: 11.png and 13.png']
  assert summary['card']['missing'] == ['owner', 'access', 'freshness']


def test_each_class_has_ten_samples_or_all_it_has_fixed_by_the_seed(audited):
  def samples(text):
    found = {}
    for part in re.findall(r'<ul class="strip" data-class="([^"]+)">(.*?)</ul>', text, re.S):
      found[part[0]] = re.findall(r'<li title="([^"]+)"><img', part[1])
    return found

  first = samples(audited()[1])
  assert {label: len(paths) for label, paths in first.items()} == {
    'blue': 7,
    'green': 10,
    'red': 10,
  }
  assert all(len(set(paths)) == len(paths) for paths in first.values())
  assert samples(audited()[1]) == first
  other = samples(audited(seed=1)[1])
  assert other['red'] != first['red'] and set(other['blue']) == set(first['blue'])
  assert len(samples(audited(samples_per_class=3)[1])['red']) == 3


def test_the_page_is_one_file_and_any_name_is_harmless(audited):
  text = audited()[1]
  parsed = Parsed(text)
  assert not parsed.all('script') and not parsed.all('link') and not parsed.all('iframe')
  assert all(image['src'].startswith('data:image/webp;base64,') for image in parsed.all('img'))
  assert all(image['alt'] for image in parsed.all('img'))
  assert all(link['href'].startswith('#') for link in parsed.all('a'))
  assert 'http' not in re.sub(r'http-equiv', '', text) and '@import' not in text
  # The style that is not attributes: no address in it either.
  assert 'url(' not in text
  assert any(NASTY in words for words in parsed.words)
  targets = {attributes['id'] for _, attributes in parsed.tags if 'id' in attributes}
  assert {link['href'][1:] for link in parsed.all('a')} <= targets


def test_the_page_says_what_would_stop_a_run_and_what_is_missing(audited):
  words = ' '.join(' '.join(Parsed(audited()[1]).words).split())
  for expected in (
    'This data would stop a run: the split leaks: 11.png and 13.png',
    'fruit & <b>more',
    're-encoded',
    'mirrored',
    'GPS position',
    'gone.png missing file not found under images.',
    'class blue: 7 images, below 20.',
    '64 images; below 1000',
    'missing',
    'fill in data.card.owner',
    'a field',
    'filename,decision,value,note',
    '05.png,keep,,black',
    '05.png,drop,,black',
  ):
    assert expected in words, expected


def test_what_a_reviewer_keeps_is_counted_and_not_listed(audited, rows):
  import pyarrow as pa
  import pyarrow.parquet as pq

  path = audited.made.dataset / 'manifest.parquet'
  table = pq.read_table(path).to_pylist()
  for row in table:
    row['decision'] = {'05.png': 'group+keep', '06.png': 'relabel'}.get(row['path'], '')
  pq.write_table(pa.Table.from_pylist(table), path)
  summary, text, findings = audited()
  assert summary['kept']['outliers'] == 1
  codes = {(row['code'], row['filename']) for row in findings}
  assert ('black', '05.png') not in codes and ('blurred', '06.png') in codes
  assert '1 kept by a reviewer' in text


def test_a_gallery_is_capped_and_says_so(make_artifacts, rows, tmp_path):
  black = {
    name: np.full((44, 60, 3), number % 4, np.uint8) for number, (name, *_) in enumerate(rows)
  }
  made = make_artifacts(rows, black, columns=('device',))
  (tmp_path / 'out').mkdir()
  data = DataConfig(root=made.root)
  report.write(
    'x', made.dataset, made.quarantine, data, AuditConfig(suspects=False), tmp_path / 'out'
  )
  text = (tmp_path / 'out/audit.html').read_text(encoding='utf-8')
  assert '50 of 64 are shown; all of them are in findings.csv' in text
  assert 'audit.suspects is false' in text
  assert text.count('black image of class') == 50


def test_files_that_are_gone_have_the_pixels_that_ingest_kept(audited):
  (audited.made.root / 'images/40.png').unlink()
  parsed = Parsed(audited()[1])
  (found,) = [image for image in parsed.all('img') if image['alt'].endswith('conflict: 40.png')]
  assert (found['width'], found['height']) == ('32', '23')  # 60x44 in 32
  shutil.rmtree(audited.made.root)
  assert len(Parsed(audited()[1]).all('img')) == len(parsed.all('img'))


def test_every_image_is_ranked_with_its_suggestion(audited):
  summary, _, _ = audited()
  with open(audited.out / 'suspects.csv', encoding='utf-8', newline='') as stream:
    ranked = list(csv.DictReader(stream))
  assert len(ranked) == 64 == summary['suspects']['judged']
  scores = [float(row['score']) for row in ranked]
  assert scores == sorted(scores)
  assert summary['suspects']['cheap_floor'] == pytest.approx(
    np.mean([row['label'] == row['suggestion'] for row in ranked]), abs=1e-4
  )
  assert sum(row['flagged'] == 'yes' for row in ranked) == summary['suspects']['flagged']


def test_a_leak_that_is_let_pass_is_told_at_the_head(make_artifacts, rows, tmp_path):
  leak = ('leak', '13.png', '11.png', 'red', 'red', 'test', 'train', 'mirrored')
  taken_out = ('dropped_by_leak', '17.png', '18.png', 'red', 'red', 'train', 'test', 'cropped')
  heads = {}
  for findings in ((), (taken_out,), (taken_out, leak)):
    made = make_artifacts(rows, columns=('device',), findings=findings)
    (tmp_path / 'out').mkdir(exist_ok=True)
    data = DataConfig(root=made.root, decisions='reviewed.csv')
    settings = AuditConfig(suspects=False)
    report.write('x', made.dataset, made.quarantine, data, settings, tmp_path / 'out')
    text = (tmp_path / 'out/audit.html').read_text(encoding='utf-8')
    heads[len(findings)] = re.search(r'<div class="verdict (\w+)">', text)[1]
    assert text.count('first of a leak') == len(findings)
    assert '<code>reviewed.csv</code>' in text
    for folder in (made.root, made.dataset, made.quarantine):
      shutil.rmtree(folder)
  assert heads == {0: 'good', 1: 'good', 2: 'warn'}
