"""Alerts: what is raised, who is told, and that nobody is paged twice."""
