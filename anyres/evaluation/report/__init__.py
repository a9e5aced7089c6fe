"""Reports: figures of records with their intervals, as Markdown, CSV, XLSX and one HTML file. No model is asked."""
