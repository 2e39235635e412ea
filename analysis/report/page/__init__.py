"""The page of a report: one HTML file, whose text, style and script lie in this folder."""
