"""What policies would have done: traces of real traffic, replayed through a model of engines and their queues."""
