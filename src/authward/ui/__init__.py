"""Pages, styles and ES modules, served as they lie here; there is no bundler."""
