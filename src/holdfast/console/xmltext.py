"""Elements of SVG as text: everything a user or a server wrote is escaped here, in one place."""

from html import escape

from holdfast.console.layout import Box
from holdfast.console.words import clean


def xml(words: str) -> str:
    """Return words that are safe between tags and in attributes; control characters become spaces."""
    return escape(clean(words), quote=True)


def short(words: str, limit: int) -> str:
    """Return words cut to ``limit`` characters, with an ellipsis."""
    return words if len(words) <= limit else f"{words[: limit - 1]}…"


def tag(name: str, content: str = "", **attributes: str | float) -> str:
    """Return one element; ``content`` and attributes are XML already (``class_`` stands for ``class``)."""
    words = "".join(f' {key.rstrip("_").replace("_", "-")}="{_value(each)}"' for key, each in attributes.items())
    return f"<{name}{words}>{content}</{name}>" if content else f"<{name}{words}/>"


def _value(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:g}"


def text(x: float, y: float, words: str, class_: str, anchor: str = "start") -> str:
    """Return a line of text; ``words`` are escaped."""
    return tag("text", xml(words), x=x, y=y, class_=class_, text_anchor=anchor)


def rect(box: Box, class_: str, radius: float) -> str:
    """Return a rectangle with round corners."""
    return tag("rect", x=box.x, y=box.y, width=box.width, height=box.height, rx=radius, class_=class_)


def path(words: str, class_: str, title: str = "") -> str:
    """Return a path; ``title`` is shown while the pointer rests on it."""
    return tag("path", tip(title) if title else "", d=words, class_=class_)


def tip(words: str) -> str:
    """Return the text that is shown while the pointer rests on the element around it."""
    return tag("title", xml(words))


def group(*parts: str, title: str = "") -> str:
    """Return elements as one, with a text for the pointer."""
    return tag("g", (tip(title) if title else "") + "".join(parts))
