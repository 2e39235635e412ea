"""From rows to a verdict: figures, tables and one page, for one sweep or several."""
