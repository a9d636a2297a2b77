"""Reports of drills: Markdown, one self-contained page, JUnit, and lines for a terminal."""

from holdfast.console.report.html import html
from holdfast.console.report.junit import junit
from holdfast.console.report.markdown import markdown
from holdfast.console.report.terminal import matrix, summary

__all__ = ["html", "junit", "markdown", "matrix", "summary"]
