"""Makes decision vectors with the planner of NVIDIA Dynamo, in an environment that holds the package `ai-dynamo`."""

import sys

from dev.rivals.dynamo import forward_pass

# The planner imports the native part of AISimulate. The package index holds a placeholder of it only, so our law of
# the time of a pass stands in its place.
sys.modules["aisimulate_core"] = sys.modules["aisimulate_core.sdk"] = forward_pass
