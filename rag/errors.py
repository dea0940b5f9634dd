"""Every error that Footnote raises on purpose; each message says what, the value, and the remedy.

RagError
├── SettingsError       a setting's value cannot be used
├── DocumentError       a source cannot be read or holds no text
├── QuestionError       a question that cannot be asked
├── ModelError          an encoder is missing, damaged or unsuitable
├── IndexMissingError   there is no index where one was named
├── IndexDamagedError   an index fails its checks, or was written by another version
├── StorageError        the disk refused: full, read-only, unreadable
└── ServerError         a model server did not answer as it should
    └── ContextError    it was given more than it can read
"""


class RagError(Exception):
    """The parent of all of them: catch this one to show its message to a user."""


class SettingsError(RagError):
    """A setting's value cannot be used."""


class DocumentError(RagError):
    """A source cannot be read or holds no text."""


class QuestionError(RagError):
    """A question that cannot be asked."""


class ModelError(RagError):
    """An encoder is missing, damaged or unsuitable."""


class IndexMissingError(RagError):
    """There is no index where one was named."""


class IndexDamagedError(RagError):
    """An index fails its checks, or was written by another version."""


class StorageError(RagError):
    """The disk refused: full, read-only, unreadable."""


class ServerError(RagError):
    """A model server did not answer as it should. wait: seconds after which trying again may help, or None."""

    def __init__(self, message: str, *, wait: float | None = None) -> None:
        super().__init__(message)
        self.wait = wait


class ContextError(ServerError):
    """A model server was given more than it can read."""
