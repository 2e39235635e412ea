"""How many seconds pass between two looks at what changes by itself."""

EVENTS = 0.1  # what trials and actors report; an idle wait of the driver lasts no longer
SIZE = 1.0  # how large the pool of measuring actors should be
NODES = 5.0  # the nodes of a cluster
JOIN = 10.0  # whether machines have joined a cluster that waits for them
LOSS = 0.5  # whether Ray has noticed that a node is lost
JOB = 0.5  # the state of a Ray job
STATUS = 5.0  # `renyi status --watch`
