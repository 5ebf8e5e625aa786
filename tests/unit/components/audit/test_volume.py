from components.audit import volume


def test_counts_and_shares_of_a_class_and_split(make_images):
  images = make_images(
    ['fig'] * 6 + ['pear'] * 2, split=['train'] * 3 + ['val'] + ['test'] * 3 + ['train']
  )
  fig, pear = volume.by_class(images)
  assert (fig.label, fig.total, fig.share) == ('fig', 6, 0.75)
  assert fig.counts == {'train': 3, 'val': 1, 'test': 2}
  assert fig.shares == {'train': 3 / 4, 'val': 1.0, 'test': 2 / 3}
  assert (pear.label, pear.counts['val']) == ('pear', 0)


def test_too_few_images_are_told_with_their_count(make_images):
  images = make_images(['fig'] * 980 + ['pear'] * 19, split=['train', 'val', 'test'] * 333)
  first, second = volume.shortages(images, volume.by_class(images))
  assert (first.code, first.images, first.limit) == ('few_images', 999, 1000)
  assert '999 images' in first.text
  assert (second.code, second.label, second.images, second.limit) == (
    'few_in_class',
    'pear',
    19,
    20,
  )
  assert second.text == 'class pear: 19 images, below 20.'


def test_enough_images_give_no_warning(make_images):
  images = make_images(
    ['fig', 'pear'] * 500, split=(['train'] * 8 + ['val'] * 2 + ['test'] * 2) * 83 + ['test'] * 4
  )
  assert volume.shortages(images, volume.by_class(images)) == []


def test_a_class_that_nothing_judges_is_named(make_images):
  images = make_images(
    ['fig'] * 500 + ['pear'] * 500,
    split=['train'] * 400 + ['test'] * 100 + ['train', 'val', 'test', 'val'] * 125,
  )
  (found,) = volume.shortages(images, volume.by_class(images))
  assert (found.code, found.text) == ('empty_in_split', 'class fig: no image in val.')
