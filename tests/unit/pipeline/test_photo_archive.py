import contextlib
import dataclasses
import hashlib
import http.server
import io
import os
import pathlib
import shutil
import socket
import tarfile
import threading

import numpy as np
import pytest
from PIL import Image

from pipeline import datasets, photo_archive
from schemas.errors import DataError

REAL = 'SIGHTLINE_NETWORK_TESTS'
PHOTOS = {
  'photos/asters/one 1.jpg': (200, 30, 40),
  'photos/asters/two.jpg': (20, 130, 40),
  'photos/lilies/thrée.jpg': (90, 60, 250),
}
PAGE = {'photos/LICENSE.txt': b'free'}


class Handler(http.server.BaseHTTPRequestHandler):
  def do_GET(self):
    self.server.requests += 1
    body = self.server.files.get(self.path)
    self.send_response(200 if body else 404)
    self.send_header('Content-Length', str(len(body or b'')))
    self.end_headers()
    self.wfile.write((body or b'')[: self.server.cut])

  def log_message(self, *_):
    pass


@pytest.fixture
def server():
  with http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler) as running:
    running.requests, running.files, running.cut = 0, {}, None
    threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
    yield running
    running.shutdown()


def photos():
  return {name: jpeg(colour) for name, colour in PHOTOS.items()} | PAGE


def jpeg(colour):
  stream = io.BytesIO()
  Image.new('RGB', (9, 7), colour).save(stream, 'JPEG')
  return stream.getvalue()


def tgz(files, *members):
  stream = io.BytesIO()
  with tarfile.open(fileobj=stream, mode='w:gz') as archive:
    for name, content in files.items():
      member = tarfile.TarInfo(name)
      member.size = len(content)
      archive.addfile(member, io.BytesIO(content))
    for member in members:
      archive.addfile(member)
  return stream.getvalue()


def published(server, content):
  """Publishes bytes and returns how an archive of two classes would be looked for."""
  server.files['/photos.tgz'] = content
  return photo_archive.PhotoArchive(
    url=f'http://127.0.0.1:{server.server_port}/photos.tgz',
    sha256=hashlib.sha256(content).hexdigest(),
    size=len(content),
    folder='photos',
    classes={'asters': 2, 'lilies': 1},
    beside=('LICENSE.txt',),
  )


def tree(root):
  return {
    path.relative_to(root).as_posix(): path.read_bytes()
    for path in root.rglob('*')
    if path.is_file()
  }


def test_one_folder_a_class_appears(server, tmp_path):
  files = photos()
  litter = {'photos/._asters': b'x', 'photos/asters/.hidden': b'x', 'else/a.jpg': b'x'}
  directory = tarfile.TarInfo('photos/asters')
  directory.type = tarfile.DIRTYPE
  archive = published(server, tgz(files | litter, directory))
  photo_archive.fetch(archive, tmp_path / 'new' / 'flowers')
  assert tree(tmp_path / 'new' / 'flowers') == {
    name.removeprefix('photos/'): content for name, content in files.items()
  }
  # Nothing is left beside it.
  assert os.listdir(tmp_path / 'new') == ['flowers']
  with Image.open(tmp_path / 'new/flowers/lilies/thrée.jpg') as image:
    np.testing.assert_allclose(np.asarray(image)[3, 4], (90, 60, 250), atol=4)


def test_what_is_complete_is_left_alone_without_a_request(server, tmp_path):
  archive = published(server, tgz(photos()))
  root = tmp_path / 'flowers'
  photo_archive.fetch(archive, root)
  (root / 'asters' / 'two.jpg').write_bytes(b'mine')
  (root / 'splits.lock.csv').write_text('kept')
  photo_archive.fetch(archive, root)
  assert server.requests == 1
  assert (root / 'asters' / 'two.jpg').read_bytes() == b'mine'
  assert (root / 'splits.lock.csv').read_text() == 'kept'


def test_an_empty_folder_is_filled_and_a_foreign_one_is_not_touched(server, tmp_path):
  archive = published(server, tgz(photos()))
  (tmp_path / 'empty').mkdir()
  photo_archive.fetch(archive, tmp_path / 'empty')
  assert (tmp_path / 'empty' / 'LICENSE.txt').read_bytes() == b'free'
  (tmp_path / 'mine' / 'asters').mkdir(parents=True)
  (tmp_path / 'mine' / 'asters' / 'a.jpg').write_bytes(b'mine')
  with pytest.raises(DataError, match=r'asters 2, lilies 1.*Received: asters.*--output'):
    photo_archive.fetch(archive, tmp_path / 'mine')
  assert tree(tmp_path / 'mine') == {'asters/a.jpg': b'mine'}
  (tmp_path / 'file').touch()
  with pytest.raises(DataError, match='Received: a file'):
    photo_archive.fetch(archive, tmp_path / 'file')
  assert server.requests == 1


def test_a_wrong_hash_is_refused_and_not_kept(server, tmp_path):
  archive = dataclasses.replace(published(server, tgz(photos())), sha256='0' * 64)
  with pytest.raises(DataError, match=r'sha256 0000.*tar -xzf photos\.tgz .* -C .*--data-root'):
    photo_archive.fetch(archive, tmp_path / 'flowers')
  assert tree(tmp_path) == {}


def test_a_missing_page_names_the_alternatives(server, tmp_path):
  archive = published(server, tgz(photos()))
  server.files.clear()
  with pytest.raises(DataError, match=r'404.*--strip-components 1 -C .*flowers.*--data-root'):
    photo_archive.fetch(archive, tmp_path / 'flowers')


def test_without_a_network_the_alternatives_are_named(tmp_path, server):
  archive = published(server, tgz(photos()))
  with socket.socket() as closed:
    closed.bind(('127.0.0.1', 0))
    url = f'http://127.0.0.1:{closed.getsockname()[1]}/photos.tgz'
    with pytest.raises(DataError, match=r'(?s)refused.*unpack it: mkdir'):
      photo_archive.fetch(dataclasses.replace(archive, url=url), tmp_path / 'flowers')
  assert not (tmp_path / 'flowers').exists()


def test_a_body_that_breaks_off_is_not_trusted_and_the_next_call_mends_it(server, tmp_path):
  content = tgz(photos())
  archive = published(server, content)
  server.cut = len(content) // 2
  with pytest.raises(DataError, match=r'photos\.tgz: expected'):
    photo_archive.fetch(archive, tmp_path / 'flowers')
  assert not (tmp_path / 'flowers').exists()
  assert tree(tmp_path) == {}
  server.cut = None
  photo_archive.fetch(archive, tmp_path / 'flowers')
  assert len(tree(tmp_path / 'flowers')) == 4


def member(name, kind=tarfile.REGTYPE, link=''):
  found = tarfile.TarInfo(name)
  found.type, found.linkname = kind, link
  return found


@pytest.mark.parametrize(
  'evil',
  [
    member('photos/asters/../../../evil.jpg'),
    member('/photos/asters/evil.jpg'),
    member('photos/asters/evil.jpg', tarfile.SYMTYPE, '/etc/passwd'),
    member('photos/asters/evil.jpg', tarfile.LNKTYPE, 'photos/LICENSE.txt'),
    member('photos/asters/evil.jpg', tarfile.FIFOTYPE),
  ],
  ids=['parents', 'absolute', 'symbolic link', 'hard link', 'pipe'],
)
def test_no_member_leads_out(server, tmp_path, evil):
  archive = published(server, tgz(photos(), evil))
  with pytest.raises(DataError, match=r'plain files below photos/.*Received: .*evil\.jpg'):
    photo_archive.fetch(archive, tmp_path / 'data' / 'flowers')
  assert not list(tmp_path.rglob('evil*'))
  assert not (tmp_path / 'data' / 'flowers').exists()


def test_a_member_that_would_fill_the_disk_is_refused(server, tmp_path, monkeypatch):
  monkeypatch.setattr(photo_archive, '_LARGEST', 1000)
  archive = published(server, tgz(photos() | {'photos/asters/two.jpg': bytes(2000)}))
  with pytest.raises(DataError, match=r'two\.jpg'):
    photo_archive.fetch(archive, tmp_path / 'flowers')


def test_another_number_of_photos_is_refused(server, tmp_path):
  files = photos()
  del files['photos/asters/two.jpg']
  archive = published(server, tgz(files))
  with pytest.raises(DataError, match=r"expected \{'asters': 2.*Received: \{'asters': 1"):
    photo_archive.fetch(archive, tmp_path / 'flowers')
  assert not (tmp_path / 'flowers').exists()


def test_bytes_that_are_no_archive_are_refused(server, tmp_path):
  archive = published(server, b'<html>sorry</html>')
  with pytest.raises(DataError, match='can be unpacked'):
    photo_archive.fetch(archive, tmp_path / 'flowers')


def test_an_interruption_leaves_nothing_that_is_trusted_and_fetches_nothing_twice(
  server, tmp_path, monkeypatch
):
  archive = published(server, tgz(photos()))
  extract = tarfile.TarFile.extract

  def interrupted(self, member, *args, **kwargs):
    if member.name == 'asters/two.jpg':
      raise KeyboardInterrupt
    extract(self, member, *args, **kwargs)

  with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
    patch.setattr(tarfile.TarFile, 'extract', interrupted)
    photo_archive.fetch(archive, tmp_path / 'flowers')
  assert not (tmp_path / 'flowers').exists()
  # A killed process leaves what it was writing, too.
  part = tmp_path / '.flowers.part'
  (part / 'tmp1234').write_bytes(b'half')
  (part / photo_archive._UNPACKED / 'asters' / 'stale.jpg').touch()
  photo_archive.fetch(archive, tmp_path / 'flowers')
  assert len(tree(tmp_path / 'flowers')) == 4
  assert os.listdir(tmp_path) == ['flowers']
  assert server.requests == 1


def test_an_archive_that_was_damaged_meanwhile_is_fetched_again(server, tmp_path):
  archive = published(server, tgz(photos()))
  (tmp_path / '.flowers.part').mkdir()
  (tmp_path / '.flowers.part' / photo_archive._ARCHIVE).write_bytes(b'half')
  photo_archive.fetch(archive, tmp_path / 'flowers')
  assert len(tree(tmp_path / 'flowers')) == 4


def test_a_full_disk_is_named_before_anything_is_fetched(server, tmp_path, monkeypatch):
  archive = dataclasses.replace(published(server, tgz(photos())), size=100_000_000)
  usage = shutil.disk_usage(tmp_path)._replace(free=150_000_000)
  monkeypatch.setattr(shutil, 'disk_usage', lambda _: usage)
  with pytest.raises(DataError, match=r'expected 220 MB of free disk.*150 MB.*--output'):
    photo_archive.fetch(archive, tmp_path / 'flowers')
  assert server.requests == 0


def test_a_folder_that_cannot_be_written_is_named(server, tmp_path):
  (tmp_path / 'file').touch()
  with pytest.raises(DataError, match=r'file/flowers: expected a folder that can be written'):
    photo_archive.fetch(published(server, tgz(photos())), tmp_path / 'file' / 'flowers')


def test_two_at_once_are_one_too_many(server, tmp_path):
  archive = published(server, tgz(photos()))
  with contextlib.ExitStack() as stack:
    stack.enter_context(photo_archive._part_folder(tmp_path / 'flowers'))
    with pytest.raises(DataError, match='another process'):
      photo_archive.fetch(archive, tmp_path / 'flowers')
  photo_archive.fetch(archive, tmp_path / 'flowers')


@pytest.mark.network
@pytest.mark.skipif(REAL not in os.environ, reason=f'fetches 229 MB; set {REAL}=1')
def test_the_real_archive_is_as_the_table_says(tmp_path):
  photo_archive.fetch(datasets.FLOWERS, tmp_path / 'flowers')
  images = [path for path in pathlib.Path(tmp_path / 'flowers').rglob('*.jpg')]
  assert len(images) == 3670
