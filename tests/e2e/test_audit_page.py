"""The audit's page in a real browser: it opens from disk, is whole, and asks for nothing."""

import io
import shutil

import numpy as np
import pytest
from PIL import ExifTags, Image

from tests.e2e.experiment import sightline, write_csv, write_images

_BROWSERS = ('chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable')
BROWSER = next(filter(None, map(shutil.which, _BROWSERS)), None)
pytestmark = [
  pytest.mark.slow,
  pytest.mark.skipif(BROWSER is None, reason=f'needs one of {", ".join(_BROWSERS)} on the path'),
]
PHONE = {'width': 390, 'height': 844}
DESKTOP = {'width': 1280, 'height': 900}
SECTIONS = {
  'At a glance',
  'Classes and splits',
  'Volume warnings',
  'Samples of each class',
  'Size and brightness by class',
  'Copies and near-copies',
  'Label conflicts',
  'Leaks between splits',
  'Suspect labels',
  'Outliers',
  'Personal data',
  'Coverage',
  'Rows not used',
  'Dataset card',
  'What to do next',
}


@pytest.fixture(scope='module')
def page_file(tmp_path_factory):
  """Audits 120 photos with something of every kind that a page shows.

  A black one, a copy under another name, a conflict, a leak, a class that one
  device never saw, a GPS position, and 60 files that are no images.
  """
  folder = tmp_path_factory.mktemp('audited')
  rows = write_images(folder / 'photos')
  images = folder / 'photos/images'
  Image.fromarray(np.zeros((36, 48, 3), np.uint8)).save(images / rows[0]['filename'])
  nasty = '<img src=x onerror=alert(1)> "&.png'
  shutil.copy(images / rows[1]['filename'], images / nasty)
  for row in rows:
    row['split'] = ''
    row['device'] = 'a' if row['label'] == 'blue' else row['device']
  rows += [{**rows[1], 'filename': nasty}]
  for number in range(60):
    (images / f'broken{number}.jpg').write_bytes(b'no image')
    rows.append({**rows[2], 'filename': f'broken{number}.jpg'})
  shutil.copy(images / rows[4]['filename'], images / 'conflict.jpg')
  shutil.copy(images / rows[7]['filename'], images / 'leak.png')
  rows[7]['split'] = 'train'
  rows += [
    {**rows[4], 'filename': 'conflict.jpg', 'label': 'blue'},
    {**rows[7], 'filename': 'leak.png', 'split': 'test'},
  ]
  _place_it(images / rows[10]['filename'])
  # A label as long as people make them, in one piece.
  for row in rows:
    row['label'] = {'red': 'Rot_' + 'sehr' * 15}.get(row['label'], row['label'])
  write_csv(folder / 'photos', rows)
  done = sightline(
    'data', 'audit', '--data-root', folder / 'photos', '--output', folder / 'out', cwd=folder
  )
  # The leak and the broken files would stop a run.
  assert done.code == 3, done.output
  return folder / 'out/audit.html'


def _place_it(path):
  """Writes a GPS position into a JPEG."""
  with Image.open(path) as image:
    exif = image.getexif()
    exif.get_ifd(ExifTags.IFD.GPSInfo).update({1: 'N', 2: (50.0, 6.0, 0.0)})
    image.save(path, quality=95, exif=exif)


@pytest.fixture(scope='module')
def browser():
  from playwright import sync_api

  with sync_api.sync_playwright() as playwright:
    opened = playwright.chromium.launch(executable_path=BROWSER, args=['--no-sandbox'])
    yield opened
    opened.close()


@pytest.fixture(params=[PHONE, DESKTOP], ids=['phone', 'desktop'])
def shown(browser, page_file, request):
  """The open page; what it asked for and what the console said."""
  page = browser.new_page(viewport=request.param)
  page.asked, page.said = [], []
  page.on('request', lambda asked: page.asked.append(asked.url))
  page.on('console', lambda message: page.said.append(message.text))
  page.on('pageerror', lambda error: page.said.append(str(error)))
  page.goto(page_file.as_uri())
  page.wait_for_load_state()
  yield page
  page.close()


def test_the_landmarks_are_visible_and_every_part_is_there(shown):
  for role in ('banner', 'navigation', 'main', 'contentinfo'):
    assert shown.get_by_role(role).is_visible(), role
  assert shown.get_by_role('heading', level=1).inner_text() == 'photos'
  assert {
    heading.inner_text() for heading in shown.get_by_role('heading', level=2).all()
  } == SECTIONS
  assert shown.get_by_role('region').count() >= 3  # sections with names, tables that scroll
  assert 'rows not used' in shown.get_by_role('banner').inner_text()


def test_something_of_every_kind_is_shown(shown):
  contents = shown.get_by_role('navigation').inner_text().split('\n')
  for part in ('Conflicts', 'Leaks', 'Personal data', 'Coverage', 'Rows not used'):
    # The number stands behind the name, or in the next line.
    (text,) = [
      ' '.join(contents[at : at + 2]) for at, line in enumerate(contents) if line.startswith(part)
    ]
    assert [word for word in text.split() if word.isdigit() and word != '0'], text
  text = shown.get_by_role('main').inner_text()
  assert 'are shown; all of them are in quarantine.csv' in text
  assert 'GPS position' in text and 'missing' in text


def test_it_asks_for_nothing_and_complains_of_nothing(shown, page_file):
  outside = [url for url in shown.asked if not url.startswith('data:')]
  assert outside == [page_file.as_uri()]
  assert shown.said == []


def test_nothing_reaches_beyond_the_side_of_the_screen(shown):
  assert shown.evaluate('document.documentElement.scrollWidth') <= shown.viewport_size['width']


def test_every_picture_is_decoded_and_described(shown):
  pictures = shown.evaluate(
    '[...document.images].map(one => [one.complete && one.naturalWidth, one.alt])'
  )
  assert len(pictures) >= 32  # ten samples of each of three classes, the copy and its twin
  assert all(width for width, _ in pictures)
  assert all(alt for _, alt in pictures)
  assert any('black image of class' in alt for _, alt in pictures)


def test_a_link_of_the_contents_leads_to_its_part(shown):
  from playwright import sync_api

  shown.get_by_role('navigation').get_by_role('link', name='Outliers').click()
  assert shown.evaluate('location.hash') == '#outliers'
  part = shown.get_by_role('heading', name='Outliers', exact=True)
  sync_api.expect(part).to_be_in_viewport()


@pytest.mark.parametrize('scheme', ['light', 'dark'])
def test_the_screenshot_shows_something_in_light_and_dark(shown, scheme, tmp_path):
  shown.emulate_media(color_scheme=scheme)
  path = tmp_path / f'{scheme}.png'
  shown.screenshot(path=path, full_page=True)
  with Image.open(io.BytesIO(path.read_bytes())) as image:
    pixels = np.asarray(image.convert('L').crop((0, 0, image.width, 900)), float)
  assert pixels.std() > 10
  paper = np.median(pixels)
  assert paper > 200 if scheme == 'light' else paper < 60
