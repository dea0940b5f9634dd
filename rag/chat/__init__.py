"""The web chat: a way to open a pipeline comes in, a page at a local address goes out.

Importing this is cheap: gradio is loaded when `build` or `launch` is called.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rag.chat.opening import Asks

HOST = "127.0.0.1"
PORT = 7860
QUEUE = 200  # questions that wait; to any more the chat says that it is busy

__all__ = ["HOST", "PORT", "QUEUE", "build", "launch"]


def build(pipeline_source: Callable[[], Asks], *, queue: int = QUEUE) -> Any:
    """A callable that opens a pipeline to the chat's `gradio.Blocks`; opening starts now, in the background."""
    from rag.chat.app import build as made
    from rag.chat.opening import Opening

    return made(Opening(pipeline_source), queue)


def launch(pipeline_source: Callable[[], Asks], *, host: str = HOST, port: int = PORT, queue: int = QUEUE) -> None:
    """A callable that opens a pipeline, and an address, to a running chat; returns when it is stopped (Ctrl-C).

    The page comes up at once; the first question waits until the pipeline is open. Port 0 takes any free one.
    queue: how many questions may wait for their turn; whoever comes when it is full is told that the chat is busy.
    Raises SettingsError when the address cannot be listened on.
    """
    from rag.chat.serve import launch as serve

    serve(pipeline_source, host=host, port=port, queue=queue)
