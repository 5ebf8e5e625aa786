import pytest

from components.audit import coverage, findings


def test_a_pair_without_images_is_missing(make_images):
  images = make_images(
    ['fig', 'fig', 'pear', 'pear'], columns={'device': ['phone', 'scanner', 'phone', 'phone']}
  )
  (found,) = coverage.tabulate(images, ('device',))
  assert found.values == ['phone', 'scanner']
  assert found.counts == {'fig': {'phone': 1, 'scanner': 1}, 'pear': {'phone': 2}}
  assert found.missing == [('pear', 'scanner')]
  assert not found.nested


@pytest.mark.parametrize(
  'kinds',
  [
    {'fig': ['black', 'green'], 'pear': ['conference', 'williams']},
    # As in the grocery sets: what has one kind only is named by its class.
    {'fig': ['Fresh-Fig'], 'pear': ['Anjou', 'Conference']},
  ],
)
def test_a_finer_label_has_no_gaps(make_images, kinds):
  labels = [label for label, values in kinds.items() for _ in values]
  values = [value for values in kinds.values() for value in values]
  (found,) = coverage.tabulate(make_images(labels, columns={'kind': values}), ('kind',))
  assert found.nested and not found.confounded and found.missing == []
  assert findings.from_coverage([found]) == []


@pytest.mark.parametrize(
  'devices',
  [
    {'fig': ['cam-1'], 'pear': ['cam-2']},
    {'fig': ['cam-1'], 'pear': ['cam-2', 'cam-3']},
    {'fig': ['cam-1', 'cam-2', 'cam-3'], 'pear': ['']},
  ],
)
def test_a_column_that_gives_the_class_away_is_found_and_its_gaps_are_missing(make_images, devices):
  labels = [label for label, values in devices.items() for _ in values]
  values = [value for values in devices.values() for value in values]
  (found,) = coverage.tabulate(make_images(labels, columns={'device': values}), ('device',))
  assert found.confounded and not found.nested
  # Each value lacks the class that is not its own.
  assert len(found.missing) == len(values)
  first, *others = findings.from_coverage([found])
  assert (first.code, first.value) == ('confounded_column', 'device')
  assert 'each value of device is in one class only' in first.detail
  assert {row.code for row in others} == {'missing_cell'}


def test_blank_values_and_many_values(make_images):
  images = make_images(
    ['fig', 'pear'] * 40,
    columns={'site': [''] * 40 + [f's{n:02d}' for n in range(40)], 'x': ['1'] * 80},
  )
  (found,) = coverage.tabulate(images, ('site', 'unknown'))
  assert found.values[0] == '(blank)' and len(found.values) == 30 and found.left_out == 11
