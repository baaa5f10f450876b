"""The numbers of the demo in one place, each with its unit and its reason."""

from __future__ import annotations

from dataclasses import dataclass

NAMESPACE = "trimtab-demo"
MONITORING_NAMESPACE = "trimtab-monitoring"
SYSTEM_NAMESPACE = "trimtab-system"
WORKLOAD = "minilm"
POLICY = "minilm"
MODEL_NAME = "all-MiniLM-L6-v2"
RELEASE = "trimtab"
SCRAPE_SECONDS = 5


@dataclass(frozen=True)
class Prices:
    """What an hour costs, in USD; the policy of the demo says the same."""

    per_cpu_hour: float = 0.04
    per_gpu_hour: float = 2.50


@dataclass(frozen=True)
class DemoPlan:
    """What is run, for how long, and against which objective."""

    arm_seconds: float = 120.0
    """Length of each arm: the whole recorded hour passes in this time."""
    max_replicas: int = 3
    """Size of the large arm and upper bound of the policy: what fits beside a control plane on two cores."""
    cpu_millicores: int = 350
    """CPU limit of a replica: three of them, the control plane and the load generator share two cores."""
    objective_seconds: float = 0.5
    """Latency that an answer must keep to count as goodput, and the policy's p95 objective."""
    mean_load: float = 0.95
    """Mean offered rate as a multiple of one replica's capacity; the recording then swings between 0.6 and 1.3."""
    calibration_seconds: float = 10.0
    calibration_callers: int = 16
    stabilization: str = "30s"
    """Shorter than in production, so that scaling down is seen within the arm."""
    interval: str = "5s"
    window: str = "60s"
    prices: Prices = Prices()
    rest_seconds: float = 30.0
    """Longest time for which the policy is watched giving replicas back, once its traffic is over."""
    gpus: int = 1
    """GPUs that each replica asks for; 0 where no simulated ones can be offered."""

    def replica_hour(self) -> float:
        """Price of one replica for one hour, in USD: its CPU limit and its GPUs."""
        return self.cpu_millicores / 1000 * self.prices.per_cpu_hour + self.gpus * self.prices.per_gpu_hour


@dataclass(frozen=True)
class Arm:
    """One way to run the deployment under the same traffic."""

    name: str
    replicas: int
    with_policy: bool = False


def arms(plan: DemoPlan) -> tuple[Arm, Arm, Arm]:
    """Return the three arms in the order in which they run; the last one leaves its policy in place."""
    return (
        Arm("fixed single", 1),
        Arm("fixed maximum", plan.max_replicas),
        Arm("with policy", 1, with_policy=True),
    )
