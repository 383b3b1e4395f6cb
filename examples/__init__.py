"""Small programs, one for each pattern. Each needs a sidecar: `make sidecar`, then `.bin/durabletask-go-0.14.0`."""
