from components.audit import coverage


def test_a_pair_without_images_is_missing(make_images):
  images = make_images(
    ['fig', 'fig', 'pear', 'pear'], columns={'device': ['phone', 'scanner', 'phone', 'phone']}
  )
  (found,) = coverage.tabulate(images, ('device',))
  assert found.values == ['phone', 'scanner']
  assert found.counts == {'fig': {'phone': 1, 'scanner': 1}, 'pear': {'phone': 2}}
  assert found.missing == [('pear', 'scanner')]
  assert not found.nested


def test_a_finer_label_has_no_gaps(make_images):
  images = make_images(
    ['fig', 'fig', 'pear', 'pear'], columns={'kind': ['black', 'green', 'conference', 'williams']}
  )
  (found,) = coverage.tabulate(images, ('kind',))
  assert found.nested and found.missing == []


def test_blank_values_and_many_values(make_images):
  images = make_images(
    ['fig', 'pear'] * 40,
    columns={'site': [''] * 40 + [f's{n:02d}' for n in range(40)], 'x': ['1'] * 80},
  )
  (found,) = coverage.tabulate(images, ('site', 'unknown'))
  assert found.values[0] == '(blank)' and len(found.values) == 30 and found.left_out == 11
