"""A part of the work on a thread of its own, a little ahead of who takes its results."""

from collections import deque
from collections.abc import Iterator
import threading
from typing import Generic, TypeVar

Item = TypeVar('Item')


class Ahead(Generic[Item]):
    """Runs an iterator on a thread, at most so many items ahead of who iterates over this.

    Items come in their order, whatever the threads do, and then what the iterator raised. Chained,
    they are the stages of a pipeline:

    ```python
    with Ahead(read(), 4) as messages, Ahead(decode(messages), 4) as images:
        for image in images:
            …
    ```

    Leaving the `with` block ends the thread when it is done with the item at hand, closes the
    iterator, and forgets what was not taken.
    """

    def __init__(self, items: Iterator[Item], num_ahead: int) -> None:
        """Start.

        Args:
            items: iterated over, and where it is a generator closed, by the thread alone.
            num_ahead: at least 1; one more item is at hand.
        """
        self._items = items
        self._num_ahead = num_ahead
        self._ready: deque[Item] = deque()
        self._error: BaseException | None = None
        self._is_done = False  # nothing more will be ready
        self._is_closed = False  # nothing more is wanted
        self._condition = threading.Condition()
        # What is forgotten by `close` does not keep the interpreter from ending.
        self._thread = threading.Thread(target=self._run, name='ahead', daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[Item]:
        return self

    def __next__(self) -> Item:
        with self._condition:
            self._condition.wait_for(lambda: self._ready or self._is_done)
            if self._ready:
                item = self._ready.popleft()
                self._condition.notify_all()
                return item
        error, self._error = self._error, None
        if error is not None:
            raise error
        raise StopIteration

    def close(self) -> None:
        """End the thread; nothing comes afterwards."""
        with self._condition:
            self._is_closed = True
            self._ready.clear()
            self._condition.notify_all()
        self._thread.join()
        self._ready.clear()

    def __enter__(self) -> 'Ahead[Item]':
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self) -> None:
        try:
            for item in self._items:
                if not self._hand_over(item):
                    break
        except BaseException as error:
            self._error = error
        finally:
            close = getattr(self._items, 'close', None)
            if close is not None:
                close()
            with self._condition:
                self._is_done = True
                self._condition.notify_all()

    def _hand_over(self, item: Item) -> bool:
        """Wait for room and put the item there; False where nobody wants it."""
        with self._condition:
            self._condition.wait_for(lambda: len(self._ready) < self._num_ahead or self._is_closed)
            if self._is_closed:
                return False
            self._ready.append(item)
            self._condition.notify_all()
            return True
