"""All targets by name."""

from . import containers, servers, targets

TARGETS = targets.TARGETS | containers.TARGETS | servers.TARGETS
