"""lab: a page in the browser where a class watches a network learn an image."""

import socket
from importlib.util import find_spec
from typing import Annotated

import typer
from typer import Option

from dipops.errors import BadValue

_EVERYWHERE = ("0.0.0.0", "::")


def lab(
    *,
    host: Annotated[str, Option(help="Address to listen at; 0.0.0.0 lets other machines in.")] = "127.0.0.1",
    port: Annotated[int, Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 0,
    browser: Annotated[bool, Option(help="Open the page in a browser.")] = True,
) -> None:
    """Open a page in the browser: choose image, operator, noise and priors, and watch them solve. Ctrl-C ends it."""
    if find_spec("nicegui") is None:
        raise BadValue("dipops lab without NiceGUI", "the extra lab", "pip install 'dipops[lab]'")
    from dipops.lab.page.serving import serve

    port = _free_port(host, port)
    name = socket.gethostname() if host in _EVERYWHERE else host
    typer.echo(f"The lab is at http://{name}:{port}; Ctrl-C ends it")
    try:
        serve(host, port, browser)
    except KeyboardInterrupt:
        typer.echo("The lab is closed")


def _free_port(host: str, port: int) -> int:
    """The port, or for 0 a free one; BadValue where nothing can listen there."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        with socket.socket(family, socket.SOCK_STREAM) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((host, port))
            return listener.getsockname()[1]
    except OSError as error:
        came = f"cannot listen at {host}:{port}: {error.strerror or error}"
        raise BadValue(came, "an address of this machine and a free port", "leave both out") from error
