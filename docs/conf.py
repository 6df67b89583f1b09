"""Settings of the documentation, for ``sphinx-build -W -n docs build/docs``."""

import pkgutil
import sys
from importlib import import_module
from pathlib import Path

import fenchel_stream
from fenchel_stream import __version__

sys.path.insert(0, str(Path(__file__).parent / "extensions"))

# Some packages import an exported name when it is first used. The reference shows only names that
# are there already.
wings = [wing.name for wing in pkgutil.iter_modules(fenchel_stream.__path__, "fenchel_stream.")]
for wing in map(import_module, [*wings, "fenchel_connectors"]):
    vars(wing).update({name: getattr(wing, name) for name in getattr(wing, "__all__", ())})

project = "fenchel-stream"
author = "The fenchel-stream developers"
version = release = __version__
html_title = f"{project} {__version__}"
html_theme = "furo"
pygments_dark_style = "a11y-high-contrast-dark"
html_static_path = ["static"]
html_css_files = ["style.css"]
html_show_copyright = False
html_copy_source = html_show_sourcelink = False

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "numpydoc",
    "configuration_tables",
    "mathml",
]
exclude_patterns = ["extensions"]
html_math_renderer = "mathml"

myst_enable_extensions = ["deflist", "dollarmath"]
myst_heading_anchors = 3

# Docstrings name parameters in single backticks, which is no link.
default_role = "literal"
autodoc_member_order = "bysource"
numpydoc_show_class_members = False

# A link in a page is a `py:obj` and must lead somewhere. Types in signatures are `py:class`; many
# belong to other projects, whose pages are not at hand when these are built.
nitpick_ignore_regex = [("py:class", r".*")]
