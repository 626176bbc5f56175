"""Settings of the book: the tutorial, the README and the documents as one small site.

    sphinx-build -W -c docs/book -d build/book_doctrees . build/book

The source folder is the repository itself, so that every link between two documents is the same on both. Pages are
found by pattern. Nothing is executed: chapters show the outputs that are committed.
"""

import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(HERE))

project = "Signed model parameters"
html_title = project
extensions = ["myst_nb", "callouts", "contents", "links", "profile_report"]
root_doc = "README"
include_patterns = ["*.md", "**/README.md", "docs/**.md", "notebooks/[0-9]*.ipynb"]
exclude_patterns = [".*", "build", "**/.*"]

nb_execution_mode = "off"
nb_ipywidgets_js: dict[str, Any] = {}  # they would come from a public server
highlight_language = "text"
myst_heading_anchors = 4
suppress_warnings = ["misc.highlighting_failure"]  # a file that is cut short still reads well without colours

html_theme = "sphinx_book_theme"
html_static_path = ["static"]
html_favicon = "static/icon.svg"
html_context = {"default_mode": "auto"}
html_css_files = ["book.css"]
html_show_sourcelink = False
html_copy_source = False
html_use_index = False
html_show_copyright = False
html_show_sphinx = False
html_theme_options = {
    "use_download_button": False,
    "use_fullscreen_button": False,
    "show_toc_level": 2,
    "search_bar_text": "Search",
    "pygments_light_style": "tango",
    "pygments_dark_style": "github-dark",
    "navbar_persistent": [],
    "footer_content_items": [],
}
