"""A headless Chromium, driven over a pipe by its DevTools protocol: no driver, no network."""

from __future__ import annotations

import base64
from collections import deque
import fcntl
import itertools
import json
import os
from pathlib import Path
import select
import shutil
import time
from typing import Any

EXECUTABLE = next(
    filter(None, map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome'))), None
)
_ARGUMENTS = (
    '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--disable-dev-shm-usage',
    '--no-first-run', '--disable-background-networking', '--disable-component-update',
    '--disable-sync', '--hide-scrollbars', '--remote-debugging-pipe',
)  # fmt: skip
_TIMEOUT_S = 60.0


class Browser:
    """One page at a time; use it in a `with` block.

    Attributes:
        complaints: what the page wrote to the console as a warning or worse, what it threw, and
            what it failed to load or was not allowed to.
        requests: addresses that it asked for, but those within the page (`data:`).
    """

    def __init__(self, profile: Path) -> None:
        """Start it with a fresh profile in that folder."""
        assert EXECUTABLE is not None, 'look at EXECUTABLE first'
        # Chromium reads its commands from descriptor 3, and answers on 4.
        (read_here, write_there), (read_there, write_here) = _pipe(), _pipe()
        self._process_id = os.posix_spawn(
            EXECUTABLE,
            [EXECUTABLE, *_ARGUMENTS, f'--user-data-dir={profile}', 'about:blank'],
            os.environ,
            file_actions=[
                (os.POSIX_SPAWN_DUP2, read_there, 3),
                (os.POSIX_SPAWN_DUP2, write_there, 4),
                *((os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_WRONLY, 0) for fd in (1, 2)),
            ],
        )
        os.close(read_there)
        os.close(write_there)
        self._in, self._out = read_here, write_here
        self._rest = b''
        self._numbers = itertools.count(1)
        self._events: deque[dict[str, Any]] = deque()
        self._session: str | None = None
        self.complaints: list[str] = []
        self.requests: list[str] = []
        pages = self.call('Target.getTargets')['targetInfos']
        page = next(item['targetId'] for item in pages if item['type'] == 'page')
        attached = self.call('Target.attachToTarget', targetId=page, flatten=True)
        self._session = attached['sessionId']
        for domain in ('Page', 'Runtime', 'Log', 'Network'):
            self.call(f'{domain}.enable')

    def call(self, method: str, **parameters: Any) -> Any:
        """Do what a method of the protocol says, and return its result."""
        number = next(self._numbers)
        message = {'id': number, 'method': method, 'params': parameters}
        if self._session:
            message['sessionId'] = self._session
        os.write(self._out, json.dumps(message).encode() + b'\0')
        while True:
            answer = self._receive()
            if answer.get('id') == number:
                assert 'error' not in answer, f'{method}: {answer["error"]}'
                return answer['result']
            self._note(answer)

    def open(self, path: Path, width: int, height: int, scheme: str = 'light') -> None:
        """Show a file in a window of that size, `light` or `dark`, and wait until it is there."""
        self.complaints.clear()
        self.requests.clear()
        self._events.clear()
        self.call(
            'Emulation.setDeviceMetricsOverride',
            width=width, height=height, deviceScaleFactor=1, mobile=width < 600,
        )  # fmt: skip
        features = [
            {'name': 'prefers-color-scheme', 'value': scheme},
            {'name': 'prefers-reduced-motion', 'value': 'reduce'},
        ]
        self.call('Emulation.setEmulatedMedia', features=features)
        self.call('Page.navigate', url=path.resolve().as_uri())
        while not any(item['method'] == 'Page.loadEventFired' for item in self._events):
            self._note(self._receive())

    def run(self, script: str) -> Any:
        """The value of a JavaScript expression, which may be a promise."""
        result = self.call(
            'Runtime.evaluate', expression=script, returnByValue=True, awaitPromise=True
        )
        assert 'exceptionDetails' not in result, result['exceptionDetails']
        return result['result'].get('value')

    def press(self, key: str) -> None:
        """Type one key into what has the focus."""
        text = {'Enter': '\r', ' ': ' '}.get(key, '')
        code = {'Enter': 13, ' ': 32, 'Tab': 9}[key]
        common = {'key': key, 'windowsVirtualKeyCode': code}
        self.call('Input.dispatchKeyEvent', type='keyDown', text=text, **common)
        self.call('Input.dispatchKeyEvent', type='keyUp', **common)

    def point(self, x: float, y: float, *, click: bool = False) -> None:
        """Move the mouse to a place in the window; click there if asked to."""
        self.call('Input.dispatchMouseEvent', type='mouseMoved', x=x, y=y)
        if click:
            for kind in ('mousePressed', 'mouseReleased'):
                self.call(
                    'Input.dispatchMouseEvent', type=kind, x=x, y=y, button='left', clickCount=1
                )

    def screenshot(self, path: Path, *, whole_page: bool = False) -> None:
        """Write what it shows as PNG."""
        shot = self.call('Page.captureScreenshot', captureBeyondViewport=whole_page)
        path.write_bytes(base64.b64decode(shot['data']))

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *_: object) -> None:
        self._session = None
        self.call('Browser.close')
        os.waitpid(self._process_id, 0)
        os.close(self._in)
        os.close(self._out)

    def _receive(self) -> dict[str, Any]:
        deadline = time.monotonic() + _TIMEOUT_S
        while b'\0' not in self._rest:
            ready, _, _ = select.select([self._in], [], [], deadline - time.monotonic())
            part = os.read(self._in, 1 << 20) if ready else b''
            assert part, 'the browser fell silent'
            self._rest += part
        text, _, self._rest = self._rest.partition(b'\0')
        return json.loads(text)

    def _note(self, event: dict[str, Any]) -> None:
        self._events.append(event)
        method, what = event.get('method'), event.get('params', {})
        if method == 'Runtime.exceptionThrown':
            self.complaints.append(json.dumps(what['exceptionDetails']))
        elif method == 'Runtime.consoleAPICalled' and what['type'] in ('warning', 'error'):
            self.complaints.append(json.dumps(what['args']))
        elif method == 'Log.entryAdded' and what['entry']['level'] in ('warning', 'error'):
            self.complaints.append(what['entry']['text'])
        elif method == 'Network.loadingFailed':
            self.complaints.append(what['errorText'])
        elif method == 'Network.requestWillBeSent':
            url = what['request']['url']
            if not url.startswith('data:'):
                self.requests.append(url)


def _pipe() -> tuple[int, int]:
    """Ends to read from and to write to, out of the way of 3 and 4."""
    ends = os.pipe()
    moved = tuple(fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in ends)
    for end in ends:
        os.close(end)
    return moved[0], moved[1]
