"""HTML and SVG as a tree of elements: text from data is escaped wherever it stands, because it never is markup."""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import escape
from xml.etree.ElementTree import Element

VOID = frozenset({"img", "meta", "wbr"})
"""Elements without content or an end tag; of HTML's, those that are used."""

_NOT_IN_HTML = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
"""Characters that a page must not hold, whichever way they are written."""


def element(name: str, *children: Element | str | Iterable[Element | str] | None, **attributes: object) -> Element:
    """An element with its children (elements, texts, or lists of these; None is left out).

    Attributes: ``class_`` stands for class, an underscore elsewhere for a hyphen; None leaves the attribute out, True
    gives it no value. Floats are shortened to two decimals, which is enough for a drawing.
    """
    made = Element(name)
    for key, value in attributes.items():
        if value is not None and value is not False:
            text = f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
            made.set(key.rstrip("_").replace("_", "-"), "" if value is True else _clean(text))
    for child in children:
        _append(made, child)
    return made


def to_html(root: Element) -> str:
    """The element as HTML text."""
    attributes = "".join(f' {key}="{escape(value)}"' for key, value in root.items())
    start = f"<{root.tag}{attributes}>"
    if root.tag in VOID:
        return start
    text = root.text or ""
    inside = [text if root.tag == "style" else escape(text, quote=False)]
    inside += [to_html(child) + escape(child.tail or "", quote=False) for child in root]
    return f"{start}{''.join(inside)}</{root.tag}>"


def _append(parent: Element, child: Element | str | Iterable[Element | str] | None) -> None:
    if child is None:
        return
    if isinstance(child, Element):
        parent.append(child)
    elif isinstance(child, str):
        if len(parent):
            parent[-1].tail = (parent[-1].tail or "") + _clean(child)
        else:
            parent.text = (parent.text or "") + _clean(child)
    else:
        for part in child:
            _append(parent, part)


def _clean(text: str) -> str:
    return _NOT_IN_HTML.sub("\N{REPLACEMENT CHARACTER}", text)
