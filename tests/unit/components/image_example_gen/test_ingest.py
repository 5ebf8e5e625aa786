import collections
import csv
import hashlib
import io
import json
import os
import re
import shlex
import unicodedata

import numpy as np
import pytest
from PIL import Image, ImageOps

from components.image_example_gen import passes
from schemas import features
from schemas.config import SplitConfig
from schemas.errors import DataError


def _splits(result):
  return {row['path']: row['split'] for row in result.manifest}


def _bytes(example, key):
  [value] = example.features.feature[key].bytes_list.value
  return value


def test_records_and_manifest_say_what_the_files_are(good_data, run_ingest):
  result = run_ingest(good_data)
  assert result.quarantined == []
  assert collections.Counter((row['label'], row['split']) for row in result.manifest) == {
    ('cat', 'train'): 8,
    ('cat', 'val'): 1,
    ('cat', 'test'): 1,
    ('dog', 'train'): 8,
    ('dog', 'val'): 1,
    ('dog', 'test'): 1,
  }
  by_path = {row['path']: row for row in result.manifest}
  seen = []
  for name, examples in result.records.items():
    # The records stand in the order of the manifest.
    assert [_bytes(example, features.IMAGE_PATH).decode() for example in examples] == [
      row['path'] for row in result.manifest if row['split'] == name
    ]
    for example in examples:
      path = _bytes(example, features.IMAGE_PATH).decode()
      row = by_path[path]
      content = (good_data / 'images' / path).read_bytes()
      number = int(path.removesuffix('.png'))
      assert _bytes(example, features.IMAGE) == content
      assert _bytes(example, features.IMAGE_ID).decode() == hashlib.sha256(content).hexdigest()
      assert _bytes(example, features.LABEL).decode() == ('cat' if number < 10 else 'dog')
      assert _bytes(example, 'column/site').decode() == f'site{number % 3}'
      assert _bytes(example, features.IMAGE_FORMAT) == b'PNG'
      assert _bytes(example, features.SIZE_BUCKET) == b'tiny'
      assert _bytes(example, features.BRIGHTNESS_BUCKET) == b'medium'
      feature = example.features.feature
      assert list(feature[features.WIDTH].int64_list.value) == [13]
      assert list(feature[features.HEIGHT].int64_list.value) == [9]
      assert list(feature[features.BYTES].int64_list.value) == [len(content)]
      assert feature[features.ASPECT].float_list.value[0] == pytest.approx(13 / 9)
      assert feature[features.SHARPNESS].float_list.value[0] == pytest.approx(row['sharpness'])
      assert str(good_data).encode() not in example.SerializeToString()
      assert row['row'] == number + 2
      seen.append(path)
  assert sorted(seen) == sorted(by_path)
  assert str(good_data) not in json.dumps([result.summary, result.manifest])


def test_a_blank_column_is_an_empty_string(write_data, encode, run_ingest):
  root = write_data(
    [(f'{n}.png', 'ab'[n % 2], '') for n in range(12)],
    {f'{n}.png': encode(n) for n in range(12)},
    ('filename', 'label', 'site'),
  )
  assert {
    _bytes(example, 'column/site')
    for examples in run_ingest(root).records.values()
    for example in examples
  } == {b''}


def test_the_same_data_in_another_order_gives_the_same_records(good_data, run_ingest):
  first = run_ingest(good_data)
  header, *rows = (good_data / 'labels.csv').read_text().splitlines()
  (good_data / 'splits.lock.csv').unlink()
  (good_data / 'labels.csv').write_text('\n'.join([header, *reversed(rows)]))
  second = run_ingest(good_data)
  assert second.summary['dataset_sha256'] == first.summary['dataset_sha256']
  assert second.summary['manifest_sha256'] != first.summary['manifest_sha256']
  assert second.records == first.records


def test_the_hash_changes_with_pixel_label_and_split(good_data, run_ingest, encode):
  hashes = [run_ingest(good_data).summary['dataset_sha256']]
  lock = good_data / 'splits.lock.csv'
  text = lock.read_text()
  image = (good_data / 'images' / '03.png').read_bytes()

  # One image from train to val, by hand.
  lock.write_text(text.replace(',train', ',val', 1))
  hashes.append(run_ingest(good_data).summary['dataset_sha256'])
  lock.write_text(text)

  (good_data / 'images' / '03.png').write_bytes(encode(1003))
  hashes.append(run_ingest(good_data).summary['dataset_sha256'])
  (good_data / 'images' / '03.png').write_bytes(image)
  lock.write_text(text)

  csv_text = (good_data / 'labels.csv').read_text()
  (good_data / 'labels.csv').write_text(csv_text.replace('03.png,cat', '03.png,dog'))
  hashes.append(run_ingest(good_data).summary['dataset_sha256'])
  (good_data / 'labels.csv').write_text(csv_text)

  assert len(set(hashes)) == 4
  assert run_ingest(good_data).summary['dataset_sha256'] == hashes[0]


def test_another_seed_gives_another_split_and_a_lock_keeps_the_old_one(good_data, run_ingest):
  first = _splits(run_ingest(good_data))
  config = SplitConfig(seed=7)
  assert _splits(run_ingest(good_data, split=config)) == first
  (good_data / 'splits.lock.csv').unlink()
  assert _splits(run_ingest(good_data, split=config)) != first


def test_locked_images_stay_while_others_come_and_go(good_data, run_ingest, encode):
  first = _splits(run_ingest(good_data))
  gone = '04.png'
  lines = [
    line
    for line in (good_data / 'labels.csv').read_text().splitlines()
    if not line.startswith(gone)
  ]
  for number in range(20, 30):
    (good_data / 'images' / f'{number}.png').write_bytes(encode(number))
    lines.append(f'{number}.png,cat,new')
  (good_data / 'labels.csv').write_text('\n'.join(lines))
  result = run_ingest(good_data)
  second = _splits(result)
  assert {path: second[path] for path in first if path != gone} == {
    path: name for path, name in first.items() if path != gone
  }
  # 19 cats: 15.2, 1.9 and 1.9 are wanted.
  cats = collections.Counter(row['split'] for row in result.manifest if row['label'] == 'cat')
  assert cats['train'] in (15, 16)
  assert {cats['val'], cats['test']} <= {1, 2}
  # The image that left keeps its line, and its split when it comes back.
  locked = dict(
    line.split(',') for line in (good_data / 'splits.lock.csv').read_text().splitlines()[1:]
  )
  image_id = hashlib.sha256((good_data / 'images' / gone).read_bytes()).hexdigest()
  assert locked[image_id] == first[gone]
  assert len(locked) == 30


def test_a_given_split_goes_before_the_lock(good_data, run_ingest):
  first = _splits(run_ingest(good_data))
  moved = next(path for path, name in first.items() if name == 'train')
  header, *rows = (good_data / 'labels.csv').read_text().splitlines()
  (good_data / 'labels.csv').write_text(
    '\n'.join(
      [f'{header},split', *(f'{row},{"test" if row.startswith(moved) else ""}' for row in rows)]
    )
  )
  second = _splits(run_ingest(good_data))
  assert second == {**first, moved: 'test'}
  # From now on it is locked there.
  (good_data / 'labels.csv').write_text('\n'.join([header, *rows]))
  assert _splits(run_ingest(good_data)) == second


def test_data_lock_is_used_in_place_of_the_folder(good_data, run_ingest, tmp_path):
  run_ingest(good_data, lock=tmp_path / 'elsewhere' / 'lock.csv')
  assert not (good_data / 'splits.lock.csv').exists()
  assert len((tmp_path / 'elsewhere' / 'lock.csv').read_text().splitlines()) == 21
  (tmp_path / 'file').touch()
  with pytest.raises(DataError, match=r'data\.lock'):
    run_ingest(good_data, lock=tmp_path / 'file' / 'lock.csv')


def test_what_cannot_be_used_is_quarantined_with_its_reason(write_data, encode, run_ingest):
  good = {f'{number:02d}.png': encode(number) for number in range(20)}
  bad = {
    'empty.png': b'',
    'text.jpg': b'no image at all',
    'icon.png': encode(90, image_format='ICO'),
    'cut.jpg': encode(91, 64, 48, 'JPEG')[:-900],
    'webp.png': encode(92, 64, 48, 'WEBP')[:-900],
  }
  rows = [(name, 'ab'[number % 2]) for number, name in enumerate(good)]
  rows += [(name, 'a') for name in bad]
  rows += [('absent.png', 'b'), ('../../x.png', 'a'), ('00.png', ''), ('', 'a')]
  result = run_ingest(write_data(rows, {**good, **bad}), max_bad_fraction=0.5)
  assert [(row['row'], row['filename'], row['reason']) for row in result.quarantined] == [
    ('22', 'empty.png', 'empty_file'),
    ('23', 'text.jpg', 'not_an_image'),
    ('24', 'icon.png', 'unsupported_format'),
    ('25', 'cut.jpg', 'undecodable'),
    ('26', 'webp.png', 'undecodable'),
    ('27', 'absent.png', 'missing_file'),
    ('28', '../../x.png', 'outside_root'),
    ('29', '00.png', 'blank_label'),
    ('30', '', 'blank_filename'),
  ]
  assert all(row['detail'] for row in result.quarantined)
  assert len(result.manifest) == 20
  assert result.summary['bad'] == {'count': 9, 'fraction': 9 / 29, 'limit': 0.5}
  assert result.summary['quarantined']['missing_file'] == 1


def test_too_many_bad_rows_stop_the_run_and_are_named(good_data, run_ingest, tmp_path):
  with open(good_data / 'labels.csv', 'a') as stream:
    stream.writelines(f'absent{number}.png,cat,\n' for number in range(7))
  with pytest.raises(DataError) as error:
    run_ingest(good_data, max_bad_fraction=0.2)
  lines = str(error.value).splitlines()
  assert lines[0] == (
    f"labels.csv row 22: 'absent0.png' missing_file: not found under {good_data}/images."
  )
  assert lines[5] == '... and 2 more.'
  path = tmp_path / 'state' / 'quarantine.csv'
  assert lines[6].startswith(
    f'7 of 27 rows are bad (25.9 %); data.max_bad_fraction is 0.2. All of them: {path}.'
  )
  assert len(path.read_text().splitlines()) == 8
  assert not (good_data / 'splits.lock.csv').exists()
  # At the limit it passes, and the old complaint is gone.
  run_ingest(good_data, max_bad_fraction=7 / 27)
  assert not path.exists()


def test_copies_are_kept_once_and_conflicts_not_at_all(good_data, run_ingest):
  images = good_data / 'images'
  (images / '99.png').write_bytes((images / '05.png').read_bytes())
  (images / '0.png').write_bytes((images / '07.png').read_bytes())
  (images / 'x.png').write_bytes((images / '12.png').read_bytes())
  with open(good_data / 'labels.csv', 'a') as stream:
    stream.write('99.png,cat,\n0.png,cat,\n05.png,cat,site2\nx.png,cat,\n')
  result = run_ingest(good_data, max_bad_fraction=0.1)
  assert [(row['filename'], row['row'], row['reason']) for row in result.quarantined] == [
    # 0.png comes before 07.png, 05.png before 99.png; the second row of 05.png goes.
    ('07.png', '9', 'duplicate'),
    ('12.png', '14', 'label_conflict'),
    ('99.png', '22', 'duplicate'),
    ('05.png', '24', 'duplicate'),
    ('x.png', '25', 'label_conflict'),
  ]
  assert '12.png (dog)' in result.quarantined[4]['detail']
  paths = {row['path'] for row in result.manifest}
  assert paths == ({f'{number:02d}.png' for number in range(20)} | {'0.png'}) - {'07.png', '12.png'}
  # Copies are no harm: of 24 rows, two are bad.
  assert result.summary['bad']['count'] == 2


def test_one_class_is_not_enough(write_data, encode, run_ingest):
  root = write_data(
    [(f'{n}.png', 'cat') for n in range(5)], {f'{n}.png': encode(n) for n in range(5)}
  )
  with pytest.raises(DataError, match="at least two classes. Received: 'cat'"):
    run_ingest(root)


def test_no_rows(write_data, run_ingest):
  with pytest.raises(DataError, match='no rows'):
    run_ingest(write_data([]))


def test_an_empty_split_stops_the_run(write_data, encode, run_ingest):
  root = write_data(
    [(f'{n}.png', 'ab'[n % 2]) for n in range(4)], {f'{n}.png': encode(n) for n in range(4)}
  )
  with pytest.raises(
    DataError, match='(?s)none in val, of 4 images.*sightline data audit'
  ) as caught:
    run_ingest(root)
  assert f'--data-root {root}' in str(caught.value)
  assert not (root / 'splits.lock.csv').exists()


def test_a_class_that_only_val_or_test_shows_stops_the_run(good_data, run_ingest, encode):
  for number in range(7):
    (good_data / 'images' / f'r{number}.png').write_bytes(encode(500 + number))
  header, *rows = (good_data / 'labels.csv').read_text().splitlines()
  rare = [f'r{number}.png,rare,,{"val" if number % 2 else "test"}' for number in range(7)]
  (good_data / 'labels.csv').write_text(
    '\n'.join([f'{header},split', *(f'{row},' for row in rows), *rare])
  )
  with pytest.raises(DataError) as error:
    run_ingest(good_data)
  first, last, _ = str(error.value).splitlines()
  assert first == (
    "labels.csv: class 'rare': expected images in train. Received: 7 images, none in train: "
    'r0.png, r1.png, r2.png, r3.png, r4.png and others.'
  )
  assert 'the column split' in last and str(good_data / 'splits.lock.csv') in last
  assert not (good_data / 'splits.lock.csv').exists()


def test_a_lock_that_keeps_a_class_out_of_train_stops_the_run(good_data, run_ingest):
  locked_in_val = next(
    path for path, name in _splits(run_ingest(good_data)).items() if name == 'val'
  )
  labels = good_data / 'labels.csv'
  labels.write_text(re.sub(f'({locked_in_val}),[a-z]+', r'\1,typo', labels.read_text()))
  with pytest.raises(DataError, match=f"class 'typo'.* 1 image, .*: {locked_in_val}"):
    run_ingest(good_data)


def test_small_classes_and_few_images_are_warned_of(good_data, run_ingest, encode):
  for name in ('r1.png', 'r2.png'):
    (good_data / 'images' / name).write_bytes(encode(hash(name) % 1000 + 500))
  with open(good_data / 'labels.csv', 'a') as stream:
    stream.write('r1.png,rare,\nr2.png,rare,\n')
  result = run_ingest(good_data)
  assert {row['split'] for row in result.manifest if row['label'] == 'rare'} == {'train'}
  few, class_size, rare = result.summary['warnings']
  assert few.startswith('22 images')
  assert class_size.startswith('3 of 3 classes have fewer than 20')
  assert "'rare'" in rare and 'train' in rare


def test_one_folder_a_class(tmp_path, encode, run_ingest):
  for number in range(20):
    path = tmp_path / 'data' / 'cat dog'.split()[number % 2] / f'{number}.png'
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode(number))
  result = run_ingest(tmp_path / 'data')
  assert result.summary['manifest'] is None
  assert collections.Counter(row['label'] for row in result.manifest) == {'cat': 10, 'dog': 10}
  # The lock lies in the root and is not taken for a class.
  assert _splits(run_ingest(tmp_path / 'data')) == _splits(result)


def test_more_rows_than_a_row_group(write_data, encode, run_ingest, monkeypatch):
  monkeypatch.setattr(passes, 'ROW_GROUP', 7)
  root = write_data(
    [(f'{n}.png', 'ab'[n % 2]) for n in range(40)], {f'{n}.png': encode(n) for n in range(40)}
  )
  result = run_ingest(root)
  assert sum(map(len, result.records.values())) == 40
  for name, examples in result.records.items():
    assert [_bytes(example, features.IMAGE_PATH).decode() for example in examples] == [
      row['path'] for row in result.manifest if row['split'] == name
    ]


def test_an_image_that_changes_between_the_passes_stops_the_run(
  good_data, run_ingest, monkeypatch, encode
):
  write_manifest = passes.write_manifest

  def meanwhile(*args):
    (good_data / 'images' / '06.png').write_bytes(encode(777))
    return write_manifest(*args)

  monkeypatch.setattr(passes, 'write_manifest', meanwhile)
  with pytest.raises(DataError, match=r'06\.png: expected the same bytes'):
    run_ingest(good_data)


def test_no_work_files_are_left(good_data, run_ingest, tmp_path):
  run_ingest(good_data)
  assert os.listdir(tmp_path / 'state') == ['ingest.sqlite3']


def test_the_thumbnails_stand_in_the_order_of_the_manifest(write_data, run_ingest):
  colours = {f'{n}.png': (10 * n, 255 - 10 * n, 5 * n) for n in range(20)}
  root = write_data([(name, 'ab'[n % 2]) for n, name in enumerate(colours)])
  for name, colour in colours.items():
    Image.new('RGB', (40, 24), colour).save(root / 'images' / name)
  result = run_ingest(root)
  assert result.thumbnails.shape == (20, 32, 32, 3)
  assert result.thumbnails.dtype == np.uint8
  for row, thumbnail in zip(result.manifest, result.thumbnails, strict=True):
    assert (thumbnail == colours[row['path']]).all(), row['path']


def test_a_production_split_is_written_and_never_filled_by_the_split(good_data, run_ingest, encode):
  header, *rows = (good_data / 'labels.csv').read_text().splitlines()
  for number in range(4):
    (good_data / 'images' / f'p{number}.png').write_bytes(encode(700 + number))
  (good_data / 'labels.csv').write_text(
    '\n'.join(
      [
        f'{header},split',
        *(f'{row},' for row in rows),
        *(f'p{number}.png,cat,,production' for number in range(4)),
      ]
    )
  )
  with pytest.raises(DataError, match='Set data.production to true'):
    run_ingest(good_data)
  result = run_ingest(good_data, production=True)
  assert [_bytes(example, features.IMAGE_PATH) for example in result.records['production']] == [
    row['path'].encode() for row in result.manifest if row['split'] == 'production'
  ]
  # The twenty others are split as if these four were not there.
  assert result.summary['splits'] == {'train': 16, 'val': 2, 'test': 2, 'production': 4}
  assert result.summary['images'] == 24
  # What was drawn from traffic is not locked: it may be trained on later.
  assert len((good_data / 'splits.lock.csv').read_text().splitlines()) == 21


def test_a_manifest_as_people_make_them(tmp_path, encode, run_ingest):
  images = tmp_path / 'data' / 'images'
  images.mkdir(parents=True)
  names = [
    'with space.png',
    'comma, "quotes".png',
    'two\nlines.png',
    '-dash.png',
    '名前.png',
    unicodedata.normalize('NFD', 'Äpfel.png'),
    *(f'{number}.png' for number in range(14)),
  ]
  for number, name in enumerate(names):
    (images / name).write_bytes(encode(number))
  stream = io.StringIO()
  writer = csv.writer(stream, lineterminator='\r\n')
  writer.writerow(('filename', ' label '))
  for number, name in enumerate(names):
    writer.writerow((unicodedata.normalize('NFC', name), ' cat ' if number % 2 else 'dog'))
  # Twice the same row; the same file under a blank label.
  writer.writerow(('3.png', 'cat'))
  writer.writerow(('4.png', '  '))
  (tmp_path / 'data' / 'labels.csv').write_bytes(b'\xef\xbb\xbf' + stream.getvalue().encode())
  result = run_ingest(tmp_path / 'data', max_bad_fraction=0.1)
  assert {row['path'] for row in result.manifest} == {
    unicodedata.normalize('NFC', name) for name in names
  }
  assert {row['label'] for row in result.manifest} == {'cat', 'dog'}
  assert [(row['row'], row['reason']) for row in result.quarantined] == [
    ('22', 'duplicate'),
    ('23', 'blank_label'),
  ]
  assert sum(map(len, result.records.values())) == 20


def test_group_and_time_columns_must_be_columns(good_data, run_ingest):
  with pytest.raises(
    DataError, match="data.group_columns: expected columns of .* site. .*'patient'"
  ):
    run_ingest(good_data, group_columns=('patient',))
  with pytest.raises(DataError, match=r"data\.split\.time_column: .* site. Received: 'taken'"):
    run_ingest(good_data, split=SplitConfig(time_column='taken'))


def test_train_is_older_than_what_judges_in_the_manifest(write_data, encode, run_ingest):
  root = write_data(
    [(f'{n}.png', 'ab'[n % 2], f'2024-03-{1 + (7 * n) % 30:02d}') for n in range(30)],
    {f'{n}.png': encode(n) for n in range(30)},
    ('filename', 'label', 'taken'),
  )
  result = run_ingest(root, split=SplitConfig(time_column='taken'))
  taken = collections.defaultdict(list)
  for row in result.manifest:
    taken[row['split']].append(row['column/taken'])
  assert max(taken['train']) < min(taken['val'])
  assert max(taken['train']) < min(taken['test'])
  assert {name: len(values) for name, values in taken.items()} == {'train': 24, 'val': 3, 'test': 3}
  (root / 'labels.csv').write_text(
    (root / 'labels.csv').read_text().replace('4.png,a,2024-03-29', '4.png,a,soon')
  )
  with pytest.raises(DataError, match=r"labels\.csv row 6: .*'soon' for '4\.png'"):
    run_ingest(root, split=SplitConfig(time_column='taken'))


def test_records_hold_prepared_images_without_the_place(write_data, encode, run_ingest):
  exif = Image.Exif()
  exif[0x0112] = 6
  exif.get_ifd(0x8825).update({1: 'N', 2: (48.0, 51.0, 29.613)})
  files = {f'{number:02d}.png': encode(number) for number in range(20)}
  files['turned.jpg'] = encode(90, 40, 24, 'JPEG', exif=exif.tobytes())
  files['web.webp'] = encode(91, 40, 24, 'WEBP', exif=exif.tobytes())
  rows = [(name, 'ab'[number % 2]) for number, name in enumerate(files)]
  result = run_ingest(write_data(rows, files))
  seconds = (29613).to_bytes(4, 'big')
  assert seconds in files['turned.jpg'] and seconds in files['web.webp']
  held = {}
  for examples in result.records.values():
    for example in examples:
      feature = example.features.feature
      held[feature['image/path'].bytes_list.value[0].decode()] = feature
  assert len(held) == 22
  for name, form in (('turned.jpg', 'JPEG'), ('web.webp', 'WEBP')):
    image_bytes = held[name]['image/encoded'].bytes_list.value[0]
    assert seconds not in image_bytes
    assert held[name]['image/format'].bytes_list.value[0] == form.encode()
    size = [held[name][key].int64_list.value[0] for key in ('image/width', 'image/height')]
    assert size == [24, 40]
    assert ImageOps.exif_transpose(Image.open(io.BytesIO(image_bytes))).size == (24, 40)
    original = hashlib.sha256(files[name]).hexdigest()
    assert held[name]['image/id'].bytes_list.value[0] == original.encode()
  assert held['03.png']['image/encoded'].bytes_list.value[0] == files['03.png']


def test_the_advice_shows_what_stopped_the_run(write_data, encode, run_ingest, tmp_path):
  root = write_data(
    [('0.png', 'a', 'p'), ('1.png', 'a', 'p')],
    {f'{n}.png': encode(n) for n in range(2)},
    ('filename', 'label', 'patient'),
    root=tmp_path / "it's mine",
  )
  with pytest.raises(DataError, match='at least two classes') as error:
    run_ingest(root)
  words = shlex.split(str(error.value).splitlines()[-1].partition('sightline ')[2])
  assert words == ['data', 'audit', '--data-root', str(root), '--output', 'audit']
  with pytest.raises(DataError, match='sightline data audit CONFIG --output audit'):
    run_ingest(root, group_columns=('patient',))


def test_a_look_goes_on_without_times_and_decisions_that_cannot_be_read(
  write_data, encode, run_examine, run_ingest
):
  root = write_data(
    [(f'{n:02d}.png', 'ab'[n % 2], '' if n == 7 else str(n)) for n in range(40)],
    {f'{n:02d}.png': encode(n) for n in range(40)},
    ('filename', 'label', 'taken'),
  )
  (root / 'decisions.csv').write_text('filename,decision\n00.png,remove\n')
  by_time = SplitConfig(time_column='taken')
  with pytest.raises(DataError, match=r'decisions\.csv line 2'):
    run_ingest(root, split=by_time)
  summary = run_examine(root, split=by_time).summary
  assert summary['images'] == 40
  assert [text.partition(':')[0] for text in summary['would_stop']] == [
    'decisions.csv line 2',
    'labels.csv row 9',
  ]


def test_what_was_drawn_from_traffic_needs_no_time(write_data, encode, run_ingest):
  root = write_data(
    [
      (f'{n:02d}.png', 'ab'[n % 2], '', str(n)) if n < 40 else ('40.png', 'a', 'production', '')
      for n in range(41)
    ],
    {f'{n:02d}.png': encode(n) for n in range(41)},
    ('filename', 'label', 'split', 'taken'),
  )
  result = run_ingest(root, split=SplitConfig(time_column='taken'), production=True)
  assert result.summary['splits'] == {'train': 32, 'val': 4, 'test': 4, 'production': 1}
