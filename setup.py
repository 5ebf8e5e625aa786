"""Packages Sightline: `pip install .` gives the `sightline` command from any folder."""

import pathlib

import setuptools
from setuptools.command import build_py

ROOT = pathlib.Path(__file__).resolve().parent
PACKAGES = ('schemas', 'models', 'serving', 'components', 'pipeline')


def direct_requirements(name: str) -> list[str]:
  lines = (ROOT / 'requirements' / name).read_text(encoding='utf-8').splitlines()
  return [line for line in lines if line and not line.startswith('#')]


class BuildWithLock(build_py.build_py):
  """Packages the lock, against which `sightline doctor` compares what is installed.

  A checkout that is installed in place has the lock itself.
  """

  def run(self) -> None:
    super().run()
    if not self.editable_mode:
      target = pathlib.Path(self.build_lib, 'schemas/requirements.lock')
      self.copy_file(str(ROOT / 'requirements/runtime.txt'), str(target))


setuptools.setup(
  name='sightline',
  version='0.1.0',
  description='From a folder of labelled images to a served model, as a TFX pipeline.',
  long_description=(ROOT / 'README.md').read_text(encoding='utf-8'),
  long_description_content_type='text/markdown',
  license='Apache-2.0',
  python_requires='>=3.11,<3.12',
  packages=setuptools.find_packages(
    include=[pattern for name in PACKAGES for pattern in (name, f'{name}.*')]
  ),
  package_data={
    'components': ['audit/*.jinja', 'audit/*.css'],
    'models': ['weights/*'],
    'schemas': ['*/schema.pbtxt'],
    'pipeline': [
      'configs/*.yaml',
      'templates/*',
      'report/*.jinja',
      'report/*.css',
      'rollout/*.jinja',
    ],
  },
  cmdclass={'build_py': BuildWithLock},
  install_requires=direct_requirements('runtime.in'),
  extras_require={'fast': direct_requirements('fast.in')},
  entry_points={'console_scripts': ['sightline=pipeline.__main__:main']},
)
