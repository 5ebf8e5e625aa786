"""The address of a metadata store on a PostgreSQL server."""

import dataclasses
import urllib.parse

PORT = 5432
# Of libpq, https://www.postgresql.org/docs/15/libpq-ssl.html, table 34.1.
SSL_MODES = ('disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full')
_FORM = 'postgresql://USER@HOST:PORT/DATABASE'


@dataclasses.dataclass(frozen=True)
class MetadataUrl:
  """Where the store is; never what opens it.

  Attributes:
    user: of the database.
    host: of the server.
    port: of the server.
    database: of one experiment.
    sslmode: one of SSL_MODES; empty leaves it to the client library.
    sslrootcert: a file of certificates that the server's is checked against, or empty.
  """

  user: str
  host: str
  port: int
  database: str
  sslmode: str = ''
  sslrootcert: str = ''


def parse(text: str) -> MetadataUrl:
  """Reads postgresql://USER@HOST:PORT/DATABASE, with ?sslmode= and &sslrootcert= if wanted.

  Raises:
    ValueError: it is none, or holds a password. The text does not repeat it.
  """
  url = urllib.parse.urlsplit(text)
  if url.scheme != 'postgresql':
    raise ValueError(f'expected {_FORM}')
  if url.password is not None:
    raise ValueError(
      f'expected {_FORM} without a password, which belongs into PGPASSWORD of the environment or '
      'into a file that PGPASSFILE names'
    )
  options = dict(urllib.parse.parse_qsl(url.query, keep_blank_values=True))
  sslmode, sslrootcert = options.pop('sslmode', ''), options.pop('sslrootcert', '')
  if options:
    raise ValueError(f'expected no options but sslmode and sslrootcert, not {", ".join(options)}')
  if sslmode and sslmode not in SSL_MODES:
    raise ValueError(f'expected sslmode to be one of {", ".join(SSL_MODES)}')
  database = urllib.parse.unquote(url.path.removeprefix('/'))
  if not url.username or not url.hostname or not database or '/' in database:
    raise ValueError(f'expected user, host and database: {_FORM}')
  user = urllib.parse.unquote(url.username)
  return MetadataUrl(user, url.hostname, url.port or PORT, database, sslmode, sslrootcert)
