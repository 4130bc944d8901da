"""The control API: REST under /api/v1, for programs and for people who are not at the dashboard."""
