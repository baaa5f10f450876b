"""What the planner's own predictors expect of the next interval, from the intervals before."""

# mypy: disable-error-code="import-not-found"

from __future__ import annotations

import asyncio
import random
from dataclasses import asdict, dataclass

from dynamo.planner.config.planner_config import PlannerConfig
from dynamo.planner.core.types import WorkerCapabilities
from dynamo.planner.plugins.builtins.local_planner import BuiltinLoadPredict
from dynamo.planner.plugins.types import ObservationData, PipelineContext, PredictStageRequest, TrafficMetrics

INTERVAL_SECONDS = 180


@dataclass(frozen=True)
class Settings:
    """Of the predictor, the same for each of the three values."""

    predictor: str
    logarithmic: bool
    level_variance: float
    trend_variance: float
    observation_variance: float
    least_points: int


def predictions(generator: random.Random, name: str) -> dict[str, object]:
    """Return one sequence of intervals with what was expected after each."""
    settings = Settings(
        predictor=generator.choice(("kalman", "kalman", "kalman", "constant")),
        logarithmic=generator.choice((False, False, True)),
        level_variance=generator.choice((1.0, 1.0, 0.1, 5.0)),
        trend_variance=generator.choice((0.1, 0.1, 0.01)),
        observation_variance=generator.choice((10.0, 10.0, 1.0, 100.0)),
        least_points=generator.choice((5, 5, 1)),
    )
    observed = intervals(generator, 14)
    expected = asyncio.run(expect(settings, observed))
    return {
        "name": name,
        "settings": asdict(settings),
        "requests": [requests for requests, _, _ in observed],
        "prompt_tokens": [prompt for _, prompt, _ in observed],
        "output_tokens": [output for _, _, output in observed],
        "expected_requests": [requests for requests, _, _ in expected],
        "expected_prompt_tokens": [prompt for _, prompt, _ in expected],
        "expected_output_tokens": [output for _, _, output in expected],
    }


def intervals(generator: random.Random, count: int) -> list[tuple[int, float, float]]:
    """Return requests, and mean tokens in and out: idle at first at times, then a walk with idle intervals in it."""
    idle = generator.choice((0, 0, 1, 3))
    level, prompt, output = generator.uniform(50, 5000), generator.uniform(100, 4000), generator.uniform(50, 800)
    found = []
    for number in range(count):
        level *= generator.uniform(0.7, 1.35)
        asked = 0 if number < idle or generator.random() < 0.08 else round(level)
        tokens = (round(prompt * generator.uniform(0.8, 1.2), 1), round(output * generator.uniform(0.8, 1.2), 1))
        found.append((asked, *(tokens if asked else (0.0, 0.0))))
    return found


async def expect(settings: Settings, observed: list[tuple[int, float, float]]) -> list[tuple[float, float, float]]:
    """Return what the planner's predicting step says after each interval."""
    step = BuiltinLoadPredict(configuration(settings), WorkerCapabilities())
    found = []
    for requests, prompt, output in observed:
        traffic = TrafficMetrics(duration_s=INTERVAL_SECONDS, num_req=requests, isl=prompt, osl=output)
        context = PipelineContext(observations=ObservationData(traffic=traffic))
        said = (await step.Predict(PredictStageRequest(context=context))).predictions
        found.append((said.predicted_num_req, said.predicted_isl, said.predicted_osl))
    return found


def configuration(settings: Settings) -> PlannerConfig:
    """Return the planner's configuration for these settings."""
    return PlannerConfig(
        mode="agg",
        backend="vllm",
        optimization_target="sla",
        enable_throughput_scaling=True,
        load_predictor=settings.predictor,
        load_predictor_log1p=settings.logarithmic,
        kalman_q_level=settings.level_variance,
        kalman_q_trend=settings.trend_variance,
        kalman_r=settings.observation_variance,
        kalman_min_points=settings.least_points,
    )
