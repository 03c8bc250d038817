"""Wheels of the package index, unpacked: what a library offers can be seen without its GPU."""

from pathlib import Path
import subprocess
import sys
import zipfile

import pytest


def unpack(requirements: list[str], directory: Path) -> Path:
    """Download wheels for this interpreter and unpack them, once; skips the test where it cannot.

    Args:
        requirements: exact versions; their dependencies are not followed.
        directory: to unpack into; kept between runs.
    """
    site = directory / '+'.join(requirements).replace('==', '-')
    if site.is_dir():
        return site
    wheels = directory / 'wheels'
    command = [
        sys.executable, '-m', 'pip', 'download', '--quiet', '--no-deps', '--only-binary', ':all:',
        '--retries', '0', '--timeout', '10', '--dest', str(wheels), *requirements,
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    if done.returncode:
        pytest.skip(f'cannot download {", ".join(requirements)}: {done.stderr.strip()[-200:]}')
    draft = site.with_name(f'{site.name}.draft')
    for requirement in requirements:
        name, _, version = requirement.replace('-', '_').partition('==')
        (wheel,) = wheels.glob(f'{name}-{version}-*.whl')
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(draft)
    draft.rename(site)
    return site
