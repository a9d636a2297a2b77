"""Elements of HTML as text: tables, lists, verdicts. Words are escaped here; only ``Html`` passes as it is."""

from collections.abc import Iterable, Sequence

from holdfast.console.palette import SIGNS
from holdfast.console.report.style import STATES
from holdfast.console.xmltext import tag, xml
from holdfast.drills.record import Verdict


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


Content = str | Html


def safe(content: Content) -> str:
    """Return content that may stand between tags: words escaped, HTML as it is."""
    return content if isinstance(content, Html) else xml(content)


def element(name: str, *content: Content, **attributes: str) -> Html:
    """Return an element, always with its closing tag; attributes are escaped (``class_`` stands for ``class``)."""
    words = "".join(f' {key.rstrip("_").replace("_", "-")}="{xml(each)}"' for key, each in attributes.items() if each)
    return Html(f"<{name}{words}>{''.join(map(safe, content))}</{name}>")


def joined(parts: Iterable[Content]) -> Html:
    """Return parts one after the other."""
    return Html("\n".join(safe(each) for each in parts if each))


def heading(level: int, words: Content, name: str = "") -> Html:
    """Return a heading; ``name`` is its id."""
    return element(f"h{level}", words, id=name)


def sign(verdict: Verdict, class_: str = "", size: int = 14) -> Html:
    """Return the sign of a verdict, which its form alone tells."""
    shape = tag("path", d=SIGNS[STATES[verdict]], class_="sign", fill_rule="evenodd")
    drawn = tag("svg", shape, viewBox="-6 -6 12 12", width=size, height=size, aria_hidden="true", class_=class_)
    return Html(drawn)


def verdict(value: Verdict) -> Html:
    """Return a verdict as its sign and word."""
    return element("span", sign(value), value.value, class_=f"verdict {value.value}")


def table(head: Sequence[Content], rows: Iterable[Sequence[Content]], caption: str, numeric: int = 99) -> Html:
    """Return a table whose first column names its rows; columns from ``numeric`` on hold numbers.

    ``caption`` tells readers of screens what it is. "" without rows.
    """
    made = [_row(row, numeric) for row in rows]
    if not made:
        return Html("")
    titles = (element("th", each, scope="col", class_=_class(index, numeric)) for index, each in enumerate(head))
    body = element("thead", element("tr", *titles)) + element("tbody", *made)
    return element("div", element("table", Html(body), aria_label=caption), class_="wide")


def _row(row: Sequence[Content], numeric: int) -> Html:
    cells = (element("td", each, class_=_class(index, numeric)) for index, each in enumerate(row[1:], 1))
    return element("tr", element("th", row[0], scope="row"), *cells)


def _class(index: int, numeric: int) -> str:
    return "num" if index >= numeric else ""


def bullets(items: Iterable[Content], class_: str = "list") -> Html:
    """Return a list; "" without items."""
    made = [element("li", each) for each in items]
    return element("ul", *made, class_=class_) if made else Html("")


def facts(pairs: Iterable[tuple[str, Content]]) -> Html:
    """Return names with what they stand for; pairs that stand for nothing are left out."""
    made = (element("dt", name) + element("dd", value) for name, value in pairs if value)
    return element("dl", Html("".join(made)), class_="facts")


def aside(words: Content) -> Html:
    """Return words of less weight."""
    return element("span", words, class_="aside")


def more(title: str, content: Html, class_: str = "more") -> Html:
    """Return content that opens by a click; "" without content."""
    return element("details", element("summary", title), content, class_=class_) if content else content


def meter(share: float) -> Html:
    """Return a bar from 0 to 1."""
    bar = element("i", style=f"width:{min(max(share, 0), 1) * 100:.0f}%")
    return element("span", bar, class_="meter", aria_hidden="true")


def whole(words: str) -> Content:
    """Return words that are not broken into lines, when they are few."""
    return element("span", words, class_="whole") if len(words) <= 24 else words
