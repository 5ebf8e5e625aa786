"""The page of response times: for a browser a page, for a script JSON."""

import re

import httpx

from serving import stats_page
from tests.unit.serving import exports

ROW = {
  'model_name': '<b>',
  'API': 'predict',
  'entrypoint': 'REST',
  'version': '7',
  'signature_name': 'serving_default',
  'p50_ms': 1234.56,
  'p95_ms': 2.0,
  'p99_ms': 3.25,
  'requests': 4096,
}


def cells(page: str) -> list[str]:
  return re.findall(r'<td[^>]*>(.*?)</td>', page)


def test_each_kind_of_request_is_a_row():
  page = stats_page.render([ROW, {'status': 'INVALID_ARGUMENT', 'requests': 1200}])
  assert cells(page) == [
    '&lt;b&gt;', '7', 'serving_default', 'predict', 'REST', '4,096', '1234.6', '2.0', '3.2',
  ]  # fmt: skip
  assert '1,200 with INVALID_ARGUMENT' in page


def test_a_server_that_was_asked_nothing_says_so():
  page = stats_page.render([])
  assert 'No request was answered yet.' in page and cells(page) == []


def test_a_browser_gets_the_page_and_a_script_the_numbers(affine_model):
  with exports.served(affine_model.parent, 'affine') as server:
    url = f'{server.url}/v1/models/affine:predict'
    assert httpx.post(url, json={'instances': [1.0, 2.0]}).status_code == 200
    rows = httpx.get(f'{server.url}/stats').json()
    accept = {'accept': 'text/html,application/xhtml+xml,*/*;q=0.8'}
    page = httpx.get(f'{server.url}/stats', headers=accept)
  assert [row['model_name'] for row in rows] == ['affine']
  assert page.headers['content-type'].startswith('text/html')
  assert cells(page.text)[0] == 'affine' and cells(page.text)[5] == '1'
