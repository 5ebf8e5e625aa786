"""`sightline model verify`: does the live server answer as the export was trained?"""

import contextlib
import pathlib
from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pipeline import library_output
from schemas.errors import ConfigError, SightlineError
from schemas.loader import load_config
from schemas.weights_hash import read_identity

SAME, OTHER = 0, 1
_LONGEST_SAID = 60


def run(
  address: str,
  model: str | None,
  export: pathlib.Path | None,
  config_path: pathlib.Path | None,
  limit: float | None,
  ca: pathlib.Path | None,
  overrides: Sequence[str] = (),
) -> int:
  """Replays the proof, prints a table and returns the exit code.

  Args:
    address: http://host:port for REST, host:port for gRPC.
    model: that the server serves; by default what the export is called.
    export: its folder, or the folder with one folder a version, of which the newest counts.
    config_path: in its place, of an experiment, whose newest published version it is.
    limit: of a difference of a probability; by default that of the proof.
    ca: who vouches for the server's certificate.
    overrides: of the experiment.

  Returns:
    0: every answer, the version and the weights are the same. 1: they are not.

  Raises:
    ConfigError: neither or both of export and config are given.
    ExportError: there is no export, or it carries no proof.
    ServingError: the server is not there, or serves another model.
  """
  folder, named = _export(export, config_path, overrides)
  name = model or named
  with library_output.held_back():
    found = _verify(address, name, folder, limit, ca)
  out = Console(file=library_output.terminal(), highlight=False, soft_wrap=True)
  out.print(_table(found))
  out.print(escape(f'server   {address}, model {name}'))
  out.print(escape(f'export   {folder}'))
  expected = found.expected_version or 'not a published one'
  out.print(
    f'version  {_list(found.versions)}, expected {expected}: {_verdict(found.same_version)}'
  )
  said = _list(value[:12] for value in found.sha256s) or 'the server does not say'
  out.print(
    f'weights  {said}, expected {found.expected_sha256[:12]}: {_verdict(found.same_weights)}'
  )
  wrong = sum(not row.ok for row in found.rows)
  out.print(
    f'largest difference {found.largest_difference:.2g} of a probability, limit {found.limit:g}; '
    f'{len(found.rows) - wrong} of {len(found.rows)} images are as expected'
  )
  return SAME if found.ok else OTHER


def _export(
  export: pathlib.Path | None, config_path: pathlib.Path | None, overrides: Sequence[str]
) -> tuple[pathlib.Path, str]:
  """Returns the export's folder and the name of its model."""
  if (export is None) == (config_path is None):
    raise ConfigError(
      'verify: expected either --export or --config. Received: '
      f'{"neither" if export is None else "both"}.'
    )
  if config_path is not None:
    config = load_config(config_path, overrides)
    assert config.publish.directory is not None  # the loader fills it in
    return _newest(config.publish.directory / config.model_name), config.model_name
  assert export is not None
  folder = export if (export / 'saved_model.pb').exists() else _newest(export)
  if folder.resolve().name.isdecimal():
    return folder, folder.resolve().parent.name
  return folder, str((read_identity(folder).get('config') or {}).get('name') or 'model')


def _newest(base: pathlib.Path) -> pathlib.Path:
  from serving import version_folders

  versions = version_folders.complete_versions(base)
  if not versions:
    raise SightlineError(
      f'{base}: expected an export, or a folder with one a version. Received: neither. Publish a '
      'model with: sightline run CONFIG'
    )
  return versions[max(versions)]


def _verify(
  address: str, name: str, folder: pathlib.Path, limit: float | None, ca: pathlib.Path | None
):
  from serving import verification

  certificates = None if ca is None else str(ca)
  with contextlib.ExitStack() as using:
    if address.startswith(('http://', 'https://')):
      from serving import verification_rest

      server: verification.Server = using.enter_context(
        verification_rest.opened(address, name, certificates)
      )
    else:
      # It imports TensorFlow, which takes seconds.
      from serving import verification_grpc

      server = using.enter_context(verification_grpc.opened(address, name, certificates))
    return verification.verify(folder, server, limit)


def _table(found) -> Table:
  table = Table(box=None, padding=(0, 1), pad_edge=False)
  for heading in ('image', 'expected', 'difference', '', 'note'):
    table.add_column(heading, no_wrap=True)
  for row in found.rows:
    difference = '' if row.difference is None else f'{row.difference:.1e}'
    said = row.said if len(row.said) <= _LONGEST_SAID else f'{row.said[:_LONGEST_SAID]}...'
    table.add_row(escape(row.name), row.outcome, difference, _verdict(row.ok), escape(said))
  return table


def _verdict(same: bool) -> str:
  return '[green]ok[/]' if same else '[bold red]no[/]'


def _list(values) -> str:
  return ', '.join(sorted(values))
