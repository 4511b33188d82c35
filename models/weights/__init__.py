"""The bundle that ships with Valaro: arrays, the network and CARD.md, no code."""
