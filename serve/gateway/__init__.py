"""The one endpoint: accepts, authenticates, decides, forwards bytes verbatim, and accounts for them."""
