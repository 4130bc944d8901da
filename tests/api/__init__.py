"""The control API and the front before the dashboard, over real sockets and on both stores."""
