"""Where files may lie: which kinds of path TensorFlow and Beam can both read and write here."""

import re

from schemas.errors import ConfigError

# Also hdfs:/x and s3:/x, which is what a path library makes of them.
_SCHEME = re.compile(r'([A-Za-z][A-Za-z0-9+.-]+):/')
BUCKET = 'gs'
# Where containers of Kubeflow have buckets as folders: kfp.dsl.types.artifact_types.
MOUNTS = {'gs://': 'gcs', 'minio://': 'minio', 's3://': 's3'}

_MOUNT = 'mount the bucket or share (NFS, Filestore, FSx, a CSI volume) and name its path'
_REASONS = {
  's3': 'TensorFlow has no file system for s3',
  's3a': 'TensorFlow has no file system for s3',
  'hdfs': 'TensorFlow has no file system for hdfs',
  'az': 'TensorFlow has no file system for Azure',
  'azfs': 'TensorFlow has no file system for Azure',
  'abfs': 'TensorFlow has no file system for Azure',
  'abfss': 'TensorFlow has no file system for Azure',
  'file': 'Beam and TensorFlow do not agree on file addresses',
  'http': 'nothing can be written or listed there',
  'https': 'nothing can be written or listed there',
}


def scheme(text: str) -> str:
  """Returns `gs` of gs://bucket/folder, and '' of a path of the file system."""
  found = _SCHEME.match(text)
  return found[1].lower() if found else ''


def uri_of_mount(path: str, root: str = '') -> str:
  """Returns the URI of a path below a mounted bucket, and anything else as it is.

  Args:
    path: such as /gcs/bucket/folder.
    root: where the mounts lie; '' for /.
  """
  for prefix, folder in MOUNTS.items():
    mount = f'{root}/{folder}/'
    if path.startswith(mount):
      return prefix + path.removeprefix(mount)
  return path


def check(key: str, text: str, buckets: bool = False, instead: str = '') -> None:
  """Refuses an address that cannot be read and written as a folder there.

  Args:
    key: what it was given for.
    text: the path or address.
    buckets: whether gs:// will do.
    instead: what to do where gs:// will not; a sentence without its full stop.

  Raises:
    ConfigError: with the reason, and what to do instead.
  """
  found = scheme(text)
  if not found or (buckets and text.startswith(f'{BUCKET}://')):
    return
  expected = f'a local or shared POSIX path{" or gs://" if buckets else ""}'
  if found == BUCKET and not buckets:
    reason, step = 'it is read and written as files of this machine', instead or _MOUNT
  else:
    reason, step = _REASONS.get(found, 'TensorFlow and Beam have no file system for it'), _MOUNT
  raise ConfigError(
    f'{key}: expected {expected}. Received: {text}. {reason[0].upper()}{reason[1:]}; {step}.'
  )
