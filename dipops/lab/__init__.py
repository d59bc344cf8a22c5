"""A page in the browser where a class watches a network learn an image; ``dipops lab`` opens it.

:mod:`dipops.lab.page` is the page, and alone needs NiceGUI; the rest knows nothing of it.
"""
