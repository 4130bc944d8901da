"""One file per page; each reads a read model, draws it, and acts through ``actions``.

The folder is not called ``pages``: Streamlit takes a folder of that name for its own menu and would show each file
by itself, without the frame of ``main``, to the first visitor after a start.
"""
