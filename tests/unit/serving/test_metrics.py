from prometheus_client import parser

from serving import metrics


def samples(counted):
  families = parser.text_string_to_metric_families(counted.text().decode())
  return {
    (sample.name, tuple(sorted(sample.labels.items()))): sample.value
    for family in families
    for sample in family.samples
  }


def test_names_labels_and_buckets_are_those_of_tensorflow_serving():
  counted = metrics.Metrics()
  counted.add(metrics.REQUEST_COUNT, 'digits', 'OK', '7', 'serving_default')
  counted.add(metrics.REQUEST_COUNT, 'digits', 'OK', '7', 'serving_default', by=2)
  labels = ('digits', 'Predict', 'REST', '7', 'serving_default')
  for value in (5.0, 17.0, 1e12):
    counted.observe(metrics.REQUEST_LATENCY, value, *labels)
  found = samples(counted)
  ok = {
    'model_name': 'digits',
    'status': 'OK',
    'version': '7',
    'signature_name': 'serving_default',
  }
  assert found[':tensorflow:serving:request_count', tuple(sorted(ok.items()))] == 3
  of = dict(
    zip(('model_name', 'API', 'entrypoint', 'version', 'signature_name'), labels, strict=True)
  )
  name = ':tensorflow:serving:request_latency'
  assert found[name + '_count', tuple(sorted(of.items()))] == 3
  assert found[name + '_sum', tuple(sorted(of.items()))] == 1e12 + 22

  buckets = [
    (float(dict(key[1])['le']), value) for key, value in found.items() if key[0] == name + '_bucket'
  ]
  buckets.sort()
  assert [count for _, count in buckets] == [1, 2, *[2] * 31, 3]
  assert [round(bound, 6) for bound, _ in buckets[:3]] == [10.0, 18.0, 32.4]
  assert len(buckets) == 34 and buckets[-1][0] == float('inf')


def test_type_lines_keep_the_name_as_it_is():
  text = metrics.Metrics().text().decode()
  assert '# TYPE :tensorflow:serving:request_count untyped' in text
  assert '# TYPE :tensorflow:serving:request_latency histogram' in text
  assert '_total' not in text


def test_a_gauge_is_read_when_somebody_looks():
  counted, depth = metrics.Metrics(), [3]
  counted.gauge(metrics.QUEUE_DEPTH, lambda: depth[0], 'Requests that wait.')
  assert samples(counted)[':sightline:serving:queue_depth', ()] == 3
  depth[0] = 5
  assert samples(counted)[':sightline:serving:queue_depth', ()] == 5


def test_percentiles_in_milliseconds_and_refusals_by_status():
  counted = metrics.Metrics()
  for value in range(1, 102):
    counted.observe(metrics.REQUEST_LATENCY, value * 1000.0, 'm', 'Predict', 'GRPC', '1', 's')
  counted.add(metrics.REQUEST_COUNT, 'm', 'NOT_FOUND', '', '', by=4)
  latency, refused = counted.percentiles()
  assert (latency['p50_ms'], latency['p95_ms'], latency['p99_ms']) == (51.0, 96.0, 100.0)
  assert latency['requests'] == 101 and latency['entrypoint'] == 'GRPC'
  assert refused == {'status': 'NOT_FOUND', 'requests': 4}
