#!/usr/bin/env python
"""Django's command-line entry point."""

import gc
import os
import sys

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    # Migrations make millions of objects that stay to the end; searching these for cycles took a third of the time.
    gc.set_threshold(50_000, 20, 50)
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)
