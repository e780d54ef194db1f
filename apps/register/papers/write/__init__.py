"""Writers of risk documents. Markdown, CSV and XLSX come back without loss; PDF is for reading."""
