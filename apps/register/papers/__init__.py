"""Risk documents: read from Markdown, CSV and XLSX, compared with the register, applied to it, and written again."""
