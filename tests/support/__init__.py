"""What several tests share: a scriptable engine, and a gateway process."""
