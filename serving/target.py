"""Which model a client asks, and how: an address, a name, and what may be waited for."""

import dataclasses
import pathlib
import urllib.parse

from schemas.errors import ConfigError

_SCHEMES = ('http', 'https', 'grpc', 'grpcs')
_EXPECTED = 'expected an address such as http://127.0.0.1:8501 (REST) or grpc://127.0.0.1:8500'
_LOOPBACK = ('127.0.0.1', 'localhost', '::1')


@dataclasses.dataclass(frozen=True)
class Target:
  """A model on a server.

  Attributes:
    url: of the server: http:// or https:// for REST, grpc:// or grpcs:// for gRPC.
    model_name: that it serves.
    version: that has to answer; None for the server's choice.
    label: of the version that has to answer, such as canary; None likewise.
    timeout_seconds: for one answer.
    retries: further tries where the server says that it is busy.
    ca: PEM file of who vouches for the server's certificate; None for those that this
      machine trusts.
    certificate: PEM files of the client's own certificate and its key; None for none.

  Raises:
    ConfigError: the URL is none, or a version and a label are given.
  """

  url: str
  model_name: str
  version: int | None = None
  label: str | None = None
  timeout_seconds: float = 30.0
  retries: int = 4
  ca: pathlib.Path | None = None
  certificate: tuple[pathlib.Path, pathlib.Path] | None = None

  def __post_init__(self):
    try:
      parts = urllib.parse.urlsplit(self.url)
      usable = parts.scheme in _SCHEMES and bool(parts.hostname) and parts.port != 0
    except ValueError as error:  # a port that is no number
      raise ConfigError(f'{self.url}: {_EXPECTED}. Received: {error}.') from error
    if not usable or (self.is_grpc and parts.port is None):
      raise ConfigError(f'{self.url or "(nothing)"}: {_EXPECTED}. Received: {self.url!r}.')
    if self.version is not None and self.label is not None:
      raise ConfigError(
        f'model {self.model_name}: expected a version or a label. '
        f'Received: version {self.version} and label {self.label}.'
      )

  @property
  def is_grpc(self) -> bool:
    """Whether gRPC is spoken, and not REST."""
    return self.url.startswith('grpc')

  @property
  def is_loopback(self) -> bool:
    """Whether the server is on this machine, to which no proxy leads."""
    return urllib.parse.urlsplit(self.url).hostname in _LOOPBACK

  @property
  def rest_path(self) -> str:
    """Path of the model in TensorFlow Serving's REST API."""
    path = f'/v1/models/{urllib.parse.quote(self.model_name, safe="")}'
    if self.version is not None:
      return f'{path}/versions/{self.version}'
    if self.label is not None:
      return f'{path}/labels/{urllib.parse.quote(self.label, safe="")}'
    return path

  def __str__(self) -> str:
    chosen = f', version {self.version}' if self.version is not None else ''
    chosen = f', label {self.label}' if self.label is not None else chosen
    return f'{self.url}: model {self.model_name}{chosen}'
