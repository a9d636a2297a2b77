"""The texts that ship inside a component's folder: templates, and programs that go to servers as they are."""

from functools import cache
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined


@cache
def _environment(package: str) -> Environment:
    # Configuration files, not HTML: nothing is escaped, and a missing name is an error.
    return Environment(  # noqa: S701
        loader=PackageLoader(package),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        auto_reload=False,
    )


def render(package: str, template: str, **values: object) -> str:
    """Render ``templates/TEMPLATE`` of a component's package. Raises jinja2.UndefinedError for a missing name."""
    return _environment(package).get_template(template).render(**values)


@cache
def program(package: str, name: str) -> str:
    """Return ``service/NAME.py`` of a component's package. Raises OSError when there is none."""
    return (files(package) / "service" / f"{name}.py").read_text()
