import pytest

from schemas.errors import ConfigError
from serving.target import Target


@pytest.mark.parametrize(
  ('chosen', 'path'),
  [
    ({}, '/v1/models/half%20%2F%20two'),
    ({'version': 7}, '/v1/models/half%20%2F%20two/versions/7'),
    ({'label': 'can ary'}, '/v1/models/half%20%2F%20two/labels/can%20ary'),
  ],
)
def test_names_and_labels_are_escaped_in_the_path(chosen, path):
  assert Target('http://127.0.0.1:8501', 'half / two', **chosen).rest_path == path


@pytest.mark.parametrize(
  'url',
  ['', '127.0.0.1:8501', 'localhost', 'ftp://a:1', 'http://', 'http://a:x', 'http://a:99999']
  + ['grpc://a', 'grpc://', 'http:/a:1', 'http://a:0'],
)
def test_what_is_no_address_is_told_with_one_that_is(url):
  with pytest.raises(ConfigError, match=r'http://127.0.0.1:8501 .* grpc://127.0.0.1:8500'):
    Target(url, 'm')


@pytest.mark.parametrize(
  ('url', 'is_grpc', 'is_loopback'),
  [
    ('http://127.0.0.1:8501', False, True),
    ('https://models.example', False, False),
    ('http://[::1]:8501/below', False, True),
    ('grpc://localhost:8500', True, True),
    ('grpcs://10.0.0.7:8500', True, False),
  ],
)
def test_an_address_says_which_protocol_and_whether_a_proxy_may_lead_there(
  url, is_grpc, is_loopback
):
  target = Target(url, 'm')
  assert (target.is_grpc, target.is_loopback) == (is_grpc, is_loopback)


def test_a_version_and_a_label_contradict_each_other():
  with pytest.raises(ConfigError, match='version 3 and label stable'):
    Target('http://a:1', 'm', version=3, label='stable')
