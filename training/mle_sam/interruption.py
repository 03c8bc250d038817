"""The wish to stop, heard between steps."""

import signal


class Interruption:
    """Turns SIGTERM and Ctrl-C into a wish to stop after the step that is running.

    A second one does not wait: the run ends at once, as it stands in its last checkpoint.
    """

    def __enter__(self) -> 'Interruption':
        self.is_requested = False
        signals = (signal.SIGTERM, signal.SIGINT)
        self._previous = {number: signal.signal(number, self._request) for number in signals}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _request(self, *_: object) -> None:
        if self.is_requested:
            raise KeyboardInterrupt
        self.is_requested = True
