"""Builds parts from the settings, a file a port; nothing below reads settings.

Vendors' clients are imported where they are chosen: the two official SDKs take two seconds to load.
"""
