"""Watch, queue, leadership, and reconcile(): observe -> analyze -> advance -> execute -> report."""
