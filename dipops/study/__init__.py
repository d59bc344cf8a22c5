"""Many runs, one after the other or by the workers of a cluster, into a folder from which an interrupted study goes on."""
