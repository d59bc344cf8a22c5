"""The page, which alone knows NiceGUI: what a visitor sets, what a solve shows, and the server."""
