"""How Sphinx builds the course: `make docs`."""

project = "minigrad"
html_title = "How backpropagation works inside"
extensions = ["myst_parser"]
exclude_patterns = ["pictures"]
html_theme = "furo"
html_copy_source = False
html_show_copyright = False
suppress_warnings = ["myst.xref_missing"]  # folders of the code, which GitHub shows and a page cannot
