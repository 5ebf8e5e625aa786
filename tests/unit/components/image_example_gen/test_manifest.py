import os

import pytest

from components.image_example_gen import location, manifest, rows
from schemas.config import DataConfig
from schemas.errors import DataError


def _rows(root, **settings):
  return list(manifest.open_manifest(DataConfig(root=root, **settings)).rows())


def test_bom_crlf_quotes_and_blanks_are_read_as_a_spreadsheet_means_them(tmp_path):
  (tmp_path / 'labels.csv').write_bytes(
    '\ufefffilename,label,split,note\r\n'
    '"a, b.png", cat ,,"two\r\nlines"\r\n'
    '\r\n'
    'ü.png,dog,Test,\r\n'.encode()
  )
  first, second = _rows(tmp_path)
  assert first == rows.Row(2, 'a, b.png', 'cat', '', ('two\r\nlines',))
  # The empty line is row 3.
  assert second == rows.Row(4, 'ü.png', 'dog', 'test', ('',))


@pytest.mark.parametrize(
  ('line', 'reason'),
  [
    ('a.png,', rows.BLANK_LABEL),
    ('a.png,  ', rows.BLANK_LABEL),
    (',cat', rows.BLANK_FILENAME),
    ('a.png,"c\nd"', rows.BAD_LABEL),
    ('a.png,c\x7fd', rows.BAD_LABEL),
    ('a.png', rows.MALFORMED_ROW),
    ('a.png,cat,dog', rows.MALFORMED_ROW),
  ],
)
def test_a_row_that_cannot_be_used_says_why(tmp_path, line, reason):
  (tmp_path / 'labels.csv').write_text(f'filename,label\n{line}\n')
  [row] = _rows(tmp_path)
  assert row.reason == reason
  assert row.number == 2
  assert row.detail


def test_a_folder_whose_name_is_no_label_is_a_bad_row(tmp_path):
  for name in ('cat', 'two\nlines'):
    (tmp_path / name).mkdir()
    (tmp_path / name / 'a.png').touch()
  assert [row.reason for row in _rows(tmp_path)] == ['', rows.BAD_LABEL]


@pytest.mark.parametrize(
  ('word', 'meant'),
  [('validation', 'val'), ('Valid', 'val'), ('dev', 'val'), ('training', 'train')],
)
def test_other_names_of_the_splits_are_told_ours(tmp_path, word, meant):
  (tmp_path / 'labels.csv').write_text(f'filename,label,split\na.png,cat,{word}\n')
  [row] = _rows(tmp_path)
  assert row.reason == rows.UNKNOWN_SPLIT
  assert row.detail.endswith(f'Write {meant}.')


def test_an_unknown_split_is_a_bad_row(tmp_path):
  (tmp_path / 'labels.csv').write_text('filename,label,split\na.png,cat,eval\nb.png,cat,val\n')
  bad, good = _rows(tmp_path)
  assert bad.reason == rows.UNKNOWN_SPLIT
  assert "'eval'" in bad.detail
  assert (good.reason, good.split) == ('', 'val')


@pytest.mark.parametrize(
  ('content', 'expected'),
  [
    (b'file,label\na,b\n', 'expected the columns filename and label. Received: file, label'),
    (b'', 'an empty line'),
    (b'filename;label\na.png;b\n', 'separated by semicolons. Save the file as CSV with commas.'),
    (b'filename,label,site,site\n', 'expected each column once. Received: site 2 times'),
    (b'filename,label\n\xff\xfe,cat\n', 'UTF-8'),
    (b'filename,label\n"a.png,cat\n', 'line'),
  ],
)
def test_a_csv_that_cannot_be_used_is_an_error_that_names_it(tmp_path, content, expected):
  (tmp_path / 'labels.csv').write_bytes(content)
  with pytest.raises(DataError, match='labels.csv') as error:
    _rows(tmp_path)
  assert expected in str(error.value)


def test_missing_root_and_missing_csv(tmp_path):
  with pytest.raises(DataError, match='data.root'):
    _rows(tmp_path / 'nowhere')
  with pytest.raises(DataError, match='no such file, and no class folders'):
    _rows(tmp_path)
  # Class folders are no answer to a CSV that was asked for by name.
  (tmp_path / 'cat').mkdir()
  (tmp_path / 'cat' / 'a.png').touch()
  with pytest.raises(DataError, match='mine.csv'):
    _rows(tmp_path, labels='mine.csv')


def test_an_unknown_slice_column_names_the_known_ones(tmp_path):
  (tmp_path / 'labels.csv').write_text('filename,label,site,camera\n')
  with pytest.raises(DataError, match="site, camera. Received: 'sight'"):
    _rows(tmp_path, slice_columns=('sight',))


def test_one_folder_a_class(tmp_path):
  for name in (
    'dog/2.png',
    'cat/1.png',
    'cat/more/3.png',
    '.hidden/4.png',
    'cat/.5.png',
    'cat/Thumbs.db',
  ):
    path = tmp_path / 'images' / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
  (tmp_path / 'images' / 'empty').mkdir()
  assert [(row.number, row.filename, row.label) for row in _rows(tmp_path)] == [
    (1, 'cat/1.png', 'cat'),
    (2, 'cat/more/3.png', 'cat'),
    (3, 'dog/2.png', 'dog'),
  ]
  # With both, the CSV wins.
  (tmp_path / 'labels.csv').write_text('filename,label\ncat/1.png,lion\n')
  assert [row.label for row in _rows(tmp_path)] == ['lion']


def test_folders_and_files_may_have_any_name(tmp_path):
  names = [
    '-dash/--x.png',
    'a class/one photo, really.png',
    'b [1]*/new\nline.png',
    'Ünïcode 花/ß \'quoted\' "twice".png',
  ]
  for name in names:
    path = tmp_path / name
    path.parent.mkdir(parents=True)
    path.write_text(name)
  (tmp_path / 'LICENSE.txt').touch()
  opened = manifest.open_manifest(DataConfig(root=tmp_path))
  assert opened.path is None
  rows = list(opened.rows())
  assert sorted(row.filename for row in rows) == sorted(names)
  for row in rows:
    assert row.label == row.filename.partition('/')[0]
    assert row.reason == '' and opened.locate(row.filename).read_text() == row.filename


def test_names_that_are_no_utf8_are_bad_rows(tmp_path):
  folder = os.fsencode(tmp_path / 'cat')
  os.mkdir(folder)
  with open(folder + b'/\xff.png', 'wb'):
    pass
  [row] = _rows(tmp_path)
  assert row.reason == rows.MALFORMED_ROW
  assert row.filename.isprintable()


def test_filenames_are_relative_to_images_where_it_exists(tmp_path):
  (tmp_path / 'labels.csv').write_text('filename,label\n')
  (tmp_path / 'a.png').touch()
  opened = manifest.open_manifest(DataConfig(root=tmp_path))
  assert opened.locate('a.png') == tmp_path / 'a.png'
  (tmp_path / 'images').mkdir()
  with pytest.raises(location.FileError) as error:
    manifest.open_manifest(DataConfig(root=tmp_path)).locate('a.png')
  assert error.value.reason == location.MISSING_FILE


def test_no_path_leads_out_of_the_root(tmp_path):
  root = tmp_path / 'data'
  (root / 'images').mkdir(parents=True)
  (root / 'labels.csv').write_text('filename,label\n')
  (tmp_path / 'secret.png').touch()
  (root / 'other.png').touch()
  (root / 'images' / 'out.png').symlink_to(tmp_path / 'secret.png')
  (root / 'images' / 'in.png').symlink_to(root / 'other.png')
  opened = manifest.open_manifest(DataConfig(root=root))
  for name in ('../../secret.png', str(tmp_path / 'secret.png'), 'out.png', 'x/../../other.png'):
    with pytest.raises(location.FileError) as error:
      opened.locate(name)
    assert error.value.reason == location.OUTSIDE_ROOT, name
  assert opened.locate('in.png') == root / 'other.png'
  for name in ('absent.png', '.', 'x' * 300, 'a\0b'):
    with pytest.raises(location.FileError) as error:
      opened.locate(name)
    assert error.value.reason == location.MISSING_FILE, name


def _touch(root, *names):
  for name in names:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).touch()


def test_rows_that_a_spreadsheet_left_blank_are_passed_over(tmp_path):
  (tmp_path / 'labels.csv').write_text('filename,label,site\na.png,cat,\n, ,\n,,\nb.png,dog,\n')
  assert [(row.number, row.filename, row.reason) for row in _rows(tmp_path)] == [
    (2, 'a.png', ''),
    (5, 'b.png', ''),
  ]


@pytest.mark.parametrize('val', ['val', 'valid', 'Validation'])
def test_folders_named_as_splits_give_the_splits_of_the_classes_in_them(tmp_path, val):
  _touch(tmp_path, 'train/cat/1.jpg', 'train/dog/a/2.jpg', f'{val}/cat/3.jpg', 'test/dog/4.jpg')
  _touch(tmp_path, 'test/readme.txt', 'production/cat/5.jpg')
  found = {row.filename: row for row in _rows(tmp_path, production=True)}
  assert {name: (row.label, row.split) for name, row in found.items() if not row.reason} == {
    'train/cat/1.jpg': ('cat', 'train'),
    'train/dog/a/2.jpg': ('dog', 'train'),
    f'{val}/cat/3.jpg': ('cat', 'val'),
    'test/dog/4.jpg': ('dog', 'test'),
    'production/cat/5.jpg': ('cat', 'production'),
  }
  assert found['test/readme.txt'].reason == rows.BLANK_LABEL
  # Without the setting, nobody is to be scored on it, nor trained.
  reasons = {row.filename: row.reason for row in _rows(tmp_path)}
  assert reasons['production/cat/5.jpg'] == rows.UNKNOWN_SPLIT


@pytest.mark.parametrize(
  'names',
  [
    ('train/cat/1.jpg', 'tram/cat/1.jpg'),
    ('train/1.jpg', 'test/2.jpg'),
    ('train/cat/1.jpg', 'test/2.jpg'),
    ('train/cat/1.jpg',),
  ],
)
def test_other_folders_stay_classes(tmp_path, names):
  _touch(tmp_path, *names)
  assert {(row.label, row.split) for row in _rows(tmp_path)} == {
    (name.partition('/')[0], '') for name in names
  }


def test_a_linked_folder_within_a_class_is_a_bad_row(tmp_path):
  _touch(tmp_path, 'data/cat/1.jpg', 'data/dog/2.jpg', 'elsewhere/3.jpg')
  (tmp_path / 'data' / 'cat' / 'more').symlink_to(tmp_path / 'elsewhere')
  assert {row.filename: row.reason for row in _rows(tmp_path / 'data')} == {
    'cat/1.jpg': '',
    'cat/more': location.OUTSIDE_ROOT,
    'dog/2.jpg': '',
  }
