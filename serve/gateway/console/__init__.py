"""The operator's page on the gateway's second port: what it shows, and what keeps others out (docs/console.md)."""
