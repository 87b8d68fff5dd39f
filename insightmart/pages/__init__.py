"""The pages: a start page, and one for each dataset, store and run; static files that need no server."""
