"""Files that the build makes from the code."""


def put(path, text):
    """Write only what changed, so that a second build is quick."""
    if not path.exists() or path.read_text() != text:
        path.write_text(text)
