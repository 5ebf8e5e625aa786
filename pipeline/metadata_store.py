"""Where the metadata of an experiment lies, and how it is opened.

By default metadata.sqlite of the run root; with run.metadata a database of a PostgreSQL
server, whose address is then noted in the run root, so that what knows the root alone
finds it. The password is read by the client library of PostgreSQL: PGPASSWORD of the
environment, or the file that PGPASSFILE names (~/.pgpass without it).

ml_metadata is imported inside the functions: the command line must answer at once.
"""

import pathlib
from typing import Any

from schemas import metadata_url
from schemas.config import Config
from schemas.errors import ConfigError, RunError

FILE = 'metadata.sqlite'
# Its address, where it is none of the files of the run root.
NOTE = 'metadata_url.txt'
_PIPELINE = 'pipeline'


def connection(config: Config) -> Any:
  """Returns the ConnectionConfig of an experiment, for reading and writing."""
  root = _root(config)
  if not config.run.metadata:
    # Whoever writes opens the file, and SQLite makes no folders.
    root.mkdir(parents=True, exist_ok=True)
  return _at(root, config.run.metadata or '')


def of_root(root: pathlib.Path) -> Any:
  """Returns the ConnectionConfig of a run root, for reading and writing."""
  return _at(root, _noted(root))


def exists(root: pathlib.Path) -> bool:
  """Returns whether there is a record of runs, as far as the run root tells."""
  return (root / FILE).is_file() or bool(_noted(root))


def place(root: pathlib.Path) -> str:
  """Returns where it is, for a reader: a path or an address."""
  return _noted(root) or str(root / FILE)


def open_store(root: pathlib.Path, read_only: bool = True) -> Any:
  """Opens the store of a run root.

  Args:
    root: of the runs.
    read_only: a file is then not changed, whatever is asked of the store.

  Raises:
    RunError: there is none, or it cannot be opened.
  """
  from ml_metadata import errors
  from ml_metadata.metadata_store import metadata_store
  from ml_metadata.proto import metadata_store_pb2 as mlmd

  if not exists(root):
    raise RunError(
      f'{root / FILE}: expected the record of earlier runs. Received: no such file. '
      'Start one with: sightline run CONFIG'
    )
  found = of_root(root)
  if found.WhichOneof('config') == 'sqlite':
    mode = mlmd.SqliteMetadataSourceConfig
    found.sqlite.connection_mode = mode.READONLY if read_only else mode.READWRITE
  try:
    return metadata_store.MetadataStore(found)
  except (errors.StatusError, RuntimeError) as error:
    raise RunError(
      f'{place(root)}: expected a store that TFX wrote. Received: {error}{_advice(root)}'
    ) from error


def note(config: Config) -> None:
  """Notes in the run root, which exists, where the metadata of its runs is.

  Raises:
    ConfigError: runs of that root are recorded elsewhere already.
  """
  root, wanted = _root(config), config.run.metadata or ''
  if exists(root) and _noted(root) != wanted:
    raise ConfigError(
      f'run.metadata: expected {place(root)}, where the runs of {root} are recorded. Received: '
      f'{wanted or "none, which is " + str(root / FILE)}. Next: another run root '
      f'(--set run.root=FOLDER), or take {root / (NOTE if _noted(root) else FILE)} away and '
      'begin a record anew.'
    )
  if wanted:
    (root / NOTE).write_text(f'{wanted}\n', encoding='utf-8')


def check(opened: Any, pipeline_name: str, run_id: str) -> None:
  """Sees that a run may be recorded in a shared store.

  Args:
    opened: an ml_metadata store.
    pipeline_name: of the run.
    run_id: its name, as yet unknown to the store.

  Raises:
    RunError: the store is another experiment's, or knows a run of that name.
  """
  others = [one.name for one in opened.get_contexts_by_type(_PIPELINE) if one.name != pipeline_name]
  if others:
    raise RunError(
      f'run.metadata: expected a database of {pipeline_name} alone. Received: one with the runs of '
      f'{", ".join(sorted(others))}. Next: a database of its own (createdb).'
    )
  if opened.get_context_by_type_and_name('pipeline_run', run_id):
    raise RunError(
      f'run {run_id}: expected a name that the store does not know. Received: one that another run '
      'took in this very second, from another run root. Next: start it again.'
    )


def _at(root: pathlib.Path, address: str) -> Any:
  from ml_metadata.proto import metadata_store_pb2 as mlmd

  found = mlmd.ConnectionConfig()
  if not address:
    found.sqlite.filename_uri = str(root / FILE)
    found.sqlite.connection_mode = mlmd.SqliteMetadataSourceConfig.READWRITE_OPENCREATE
    return found
  url = metadata_url.parse(address)
  server = found.postgresql
  server.host, server.port = url.host, str(url.port)
  server.user, server.dbname = url.user, url.database
  # Whoever runs the server makes it: the user of a run need not be allowed to.
  server.skip_db_creation = True
  if url.sslmode:
    server.ssloption.sslmode = url.sslmode
  if url.sslrootcert:
    server.ssloption.sslrootcert = url.sslrootcert
  return found


def _advice(root: pathlib.Path) -> str:
  if not _noted(root):
    return ''
  return (
    '. Next: see that the server answers there, and that PGPASSWORD, or the file that PGPASSFILE '
    'names, holds the password.'
  )


def _noted(root: pathlib.Path) -> str:
  try:
    return (root / NOTE).read_text(encoding='utf-8').strip()
  except (FileNotFoundError, NotADirectoryError):
    return ''


def _root(config: Config) -> pathlib.Path:
  return pathlib.Path(config.run.root or f'runs/{config.name}')
