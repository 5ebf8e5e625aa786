"""A PostgreSQL server of its own on loopback, from Debian's packages."""

import contextlib
import os
import pathlib
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping

PASSWORD = 'not-in-any-file'


def programs() -> pathlib.Path | None:
  """Returns the folder of the newest server's programs; None where there is none."""
  found = sorted(pathlib.Path('/usr/lib/postgresql').glob('*/bin/initdb'))
  return found[-1].parent if found else None


def missing() -> str | None:
  """Returns why no server can be started; None where one can."""
  if programs() is None:
    return 'needs the package postgresql: no /usr/lib/postgresql/*/bin/initdb'
  if os.geteuid() == 0:
    try:
      pwd.getpwnam('postgres')
    except KeyError:
      return 'needs a user postgres: the server does not run as root'
  return None


class Server:
  """Listens on loopback, and asks every user for a password."""

  def __init__(self, port: int):
    self.port = port

  def url(self, database: str, user: str = 'postgres') -> str:
    return f'postgresql://{user}@127.0.0.1:{self.port}/{database}'

  def call(self, program: str, *arguments: str, password: str = PASSWORD, **more) -> str:
    """Runs a program of PostgreSQL against it; returns what it prints."""
    where = ['-h', '127.0.0.1', '-p', str(self.port), '-U', 'postgres']
    done = subprocess.run(
      [str(programs() / program), *where, *arguments],
      env={**os.environ, 'PGPASSWORD': password},
      check=True,
      capture_output=True,
      text=True,
      **more,
    )
    return done.stdout


@contextlib.contextmanager
def running() -> Iterator[Server]:
  """Starts a server and stops it at the end."""
  folder = pathlib.Path(tempfile.mkdtemp(prefix='sightline-postgres-'))
  as_whom: Mapping = {}
  if os.geteuid() == 0:
    owner = pwd.getpwnam('postgres')
    os.chown(folder, owner.pw_uid, owner.pw_gid)
    as_whom = {'user': owner.pw_uid, 'group': owner.pw_gid, 'extra_groups': []}
  with socket.socket() as listening:
    listening.bind(('127.0.0.1', 0))
    port = listening.getsockname()[1]
  data, secret = folder / 'data', folder / 'password'
  secret.write_text(PASSWORD, encoding='utf-8')

  def control(*command: str) -> None:
    subprocess.run(
      command,
      check=True,
      cwd=folder,
      stdout=subprocess.DEVNULL,
      stderr=subprocess.DEVNULL,
      **as_whom,
    )

  bin_folder = programs()
  control(
    f'{bin_folder}/initdb',
    '-D',
    str(data),
    '-U',
    'postgres',
    '--auth=scram-sha-256',
    f'--pwfile={secret}',
    '--no-sync',
  )
  options = f'-h 127.0.0.1 -p {port} -k {folder} -c fsync=off'
  control(
    f'{bin_folder}/pg_ctl', '-D', str(data), '-w', '-l', str(folder / 'log'), '-o', options, 'start'
  )
  try:
    yield Server(port)
  finally:
    control(f'{bin_folder}/pg_ctl', '-D', str(data), '-w', '-m', 'fast', 'stop')
    shutil.rmtree(folder, ignore_errors=True)
