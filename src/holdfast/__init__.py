"""Holdfast: high availability for ordinary Debian servers, declared in one file and proved by measurement."""

__version__ = "0.1.0"
