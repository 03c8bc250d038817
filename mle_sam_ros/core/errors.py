"""The one exception that users of the package meet."""


class InputError(ValueError):
    """Something that came from outside is not what it must be.

    The message is one line: where it came from, what was expected, what came, and the remedy.
    The command line prints it and exits with 2; the node publishes it as an ERROR diagnostic.
    """
