"""How dates and times are written, by language; named by FORMAT_MODULE_PATH."""
