"""Follows every link inside the built site, down to its anchor: ``python docs/_ext/links.py docs/_build/html``."""

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class Page(HTMLParser):
    """What a page links to, and what can be linked to in it."""

    def __init__(self, path):
        super().__init__()
        self.targets, self.anchors = [], set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.anchors |= {values[name] for name in ("id", "name") if values.get(name)}
        self.targets += [values[name] for name in ("href", "src") if values.get(name)]


def broken(root):
    """One line for each link that leads nowhere."""
    pages = {path.resolve(): Page(path) for path in root.rglob("*.html")}
    for path, page in pages.items():
        for target in page.targets:
            parts = urlsplit(target)
            if parts.scheme or parts.netloc:
                continue
            where = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if not where.exists():
                yield f"{path.relative_to(root.resolve())}: no {target}"
            elif parts.fragment and where in pages and unquote(parts.fragment) not in pages[where].anchors:
                yield f"{path.relative_to(root.resolve())}: no anchor {target}"


if __name__ == "__main__":
    site = Path(sys.argv[1])
    lines = sorted(set(broken(site)))
    print(*lines, sep="\n", end="\n" if lines else "")
    sys.exit(f"{len(lines)} links lead nowhere" if lines else 0)
