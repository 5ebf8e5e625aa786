"""The page about a run in a real browser: whole on a phone and a desk, and it asks for nothing."""

import shutil

import pytest

from pipeline.report import material, page
from tests.unit.pipeline.report import recorded

_BROWSERS = ('chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable')
BROWSER = next(filter(None, map(shutil.which, _BROWSERS)), None)
pytestmark = pytest.mark.skipif(
  BROWSER is None, reason=f'needs one of {", ".join(_BROWSERS)} on the path'
)


@pytest.fixture(scope='module')
def page_file(tmp_path_factory):
  """A run with everything on its page, a label in one long word, and 30 classes more."""
  root = tmp_path_factory.mktemp('reported') / 'plums'
  candidate = recorded.VERDICT['candidate']
  long = 'Sehr' + 'reife' * 14
  labels = ['ripe', long, *(f'class {number}' for number in range(30))]
  matrix = [[2] * len(labels) for _ in labels]
  per_class = {label: candidate['per_class']['ripe'] for label in labels}
  recorded.write(
    root,
    verdict={
      **recorded.LATER,
      'candidate': {
        **candidate,
        'labels': labels,
        'confusion_matrix': matrix,
        'per_class': per_class,
      },
      'reasons': ['x' * 300],
    },
    analysis=recorded.ANALYSIS,
  )
  page.write(material.read(root, recorded.RUN), root / page.FILE)
  return root / page.FILE


@pytest.fixture(scope='module')
def browser():
  from playwright import sync_api

  with sync_api.sync_playwright() as playwright:
    opened = playwright.chromium.launch(executable_path=BROWSER, args=['--no-sandbox'])
    yield opened
    opened.close()


@pytest.mark.parametrize(('width', 'height'), [(390, 844), (1280, 900)], ids=['phone', 'desktop'])
def test_it_is_whole_and_as_wide_as_the_screen_and_asks_for_nothing(
  browser, page_file, width, height
):
  shown = browser.new_page(viewport={'width': width, 'height': height})
  asked, said = [], []
  shown.on('request', lambda request: asked.append(request.url))
  shown.on('console', lambda message: said.append(message.text))
  shown.on('pageerror', lambda error: said.append(str(error)))
  shown.goto(page_file.as_uri())
  assert [url for url in asked if not url.startswith('data:')] == [page_file.as_uri()]
  assert said == []
  assert shown.evaluate('document.documentElement.scrollWidth') <= width
  # Verdict first: on the first screen, on either device.
  verdict = shown.get_by_text('Published, with a gate overridden by a person.')
  assert verdict.bounding_box()['y'] < height / 2
  # Every figure of a gate is legible: none is cut off at the side of the screen.
  cut = shown.evaluate(
    "[...document.querySelectorAll('#gates td > span')].filter("
    'one => one.getBoundingClientRect().right > innerWidth).length'
  )
  assert cut == 0
  pictures = shown.evaluate('[...document.images].map(one => [one.naturalWidth, one.alt])')
  assert len(pictures) == 2 and all(size and alt for size, alt in pictures)
  link = shown.get_by_role('navigation').get_by_role('link', name='Model card')
  link.click()
  assert shown.evaluate('location.hash') == '#card'
  shown.close()
