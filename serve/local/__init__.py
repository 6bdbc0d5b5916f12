"""The whole stack on one machine: one local Ray, the engines, the gateway. `parlance up`, `down` and `status`."""
