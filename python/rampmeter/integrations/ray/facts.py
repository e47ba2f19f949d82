"""What a request says about itself: who asks, and how its prompt begins.

Ray hands a router the arguments of the call. A deployment that is called through a handle, as the
engines behind an ingress are, gets what the caller passed: an object or dictionary with `prompt` or
`messages`, or a text. A deployment that is called over HTTP itself gets pickled bytes without a
body: there only the session and the model of its headers are known.
"""

import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from rampmeter.route import hash_blocks
from rampmeter.share import path_key

__all__ = ["Describe", "Facts", "Metadata", "Request", "describe"]

BYTES_PER_TOKEN = 4
"""Of English text, by the tokenizers in use; only ratios between prompts matter much."""

BLOCK_TOKENS = 16
"""Tokens in a block of the names, as `Router` has by default."""


class Metadata(Protocol):
    """What Ray knows of a request."""

    @property
    def internal_request_id(self) -> str:
        """Names it, once."""

    @property
    def multiplexed_model_id(self) -> str:
        """The model or adapter that it asks for."""

    @property
    def session_id(self) -> str:
        """The conversation that it belongs to."""

    @property
    def is_streaming(self) -> bool:
        """Whether its answer comes in parts."""


class Request(Protocol):
    """A request that Ray wants routed."""

    @property
    def args(self) -> Sequence[Any]:
        """Positional arguments of the call."""

    @property
    def kwargs(self) -> Mapping[Any, Any]:
        """Keyword arguments of the call."""

    @property
    def metadata(self) -> Metadata:
        """What Ray knows of it."""

    @property
    def created_at(self) -> float:
        """When it came, in seconds of `time.time()`."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a request says about itself.

    `account` is a path of names such as "org/team", "" for everybody who says none; `hashes` are
    the names of the full blocks of its prompt, in order; `adapter` is any number, 0 for none;
    `output_tokens` are those that it is expected to make, for shares and means.
    """

    account: str = ""
    class_index: int = 0
    prompt_tokens: int = 1
    hashes: Sequence[int] = ()
    adapter: int = 0
    output_tokens: int = 0


Describe = Callable[[Request], Facts]
"""Reads a request; it must neither block nor take long, since every request passes it."""


def describe(request: Request) -> Facts:
    """Read what OpenAI's form says: `user`, `prompt` or `messages`, and `max_tokens`.

    The account is `user`, else the session; the adapter is the multiplexed model. Prompts are known
    by the bytes of their text, four of which are taken for a token.
    """
    said = request.args[0] if request.args else next(iter(request.kwargs.values()), None)
    metadata = request.metadata
    text = _text(said)
    words = array.array("I", text[: len(text) // BYTES_PER_TOKEN * BYTES_PER_TOKEN])
    model = metadata.multiplexed_model_id
    adapter = path_key(model) if model else 0
    names = hash_blocks(words, block_tokens=BLOCK_TOKENS, root=adapter)
    output_tokens = _field(said, "max_tokens")
    return Facts(
        account=str(_field(said, "user") or metadata.session_id or ""),
        prompt_tokens=max(len(words), 1),
        # An array is read at once, a list number by number, each time that a choice is made.
        hashes=array.array("Q", names),
        adapter=adapter,
        output_tokens=output_tokens if isinstance(output_tokens, int) and output_tokens > 0 else 0,
    )


def _field(said: Any, name: str) -> Any:
    if isinstance(said, Mapping):
        return said.get(name)
    return getattr(said, name, None)


def _text(said: Any) -> bytes:
    """Give the text whose beginning several requests may share."""
    if isinstance(said, str):
        return said.encode()
    prompt = _field(said, "prompt")
    if prompt is None:
        messages = _field(said, "messages")
        messages = messages if isinstance(messages, list | tuple) else ()
        parts = (f"{_field(one, 'role')}\n{_field(one, 'content')}\n" for one in messages)
        prompt = "".join(parts)
    return prompt.encode() if isinstance(prompt, str) else repr(prompt).encode()
