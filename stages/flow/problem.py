"""What is wrong with the flow of one video. The stage lists it as that video's problem and goes on."""

from __future__ import annotations

from engine.errors import UserError


class FlowProblem(UserError):
    """Flow of a video that cannot be read. ``str(error)`` is the whole message: where, what, and what to do."""
