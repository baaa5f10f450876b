package main

import (
	"math/rand/v2"
	"time"

	"knative.dev/serving/pkg/apis/autoscaling"
	"knative.dev/serving/pkg/autoscaler/scaling"
)

// Settings are those of one revision. The target is per pod: what a pod may hold, times the wanted utilisation.
type Settings struct {
	TargetConcurrency     float64 `json:"target_concurrency"`
	TotalConcurrency      float64 `json:"total_concurrency"`
	StableWindowSeconds   int     `json:"stable_window_seconds"`
	PanicWindowSeconds    int     `json:"panic_window_seconds"`
	PanicThresholdRatio   float64 `json:"panic_threshold_ratio"`
	MaxScaleUpRatio       float64 `json:"max_scale_up_ratio"`
	MaxScaleDownRatio     float64 `json:"max_scale_down_ratio"`
	ScaleDownDelaySeconds int     `json:"scale_down_delay_seconds"`
	ActivationScale       int32   `json:"activation_scale"`
	TargetBurstCapacity   float64 `json:"target_burst_capacity"`
}

func randomSettings(random *rand.Rand) Settings {
	total := pick(random, 100., 100, 10, 8, 1, 32)
	stable := pick(random, 60, 60, 30, 20, 10)
	return Settings{
		TargetConcurrency:     max(autoscaling.TargetMin, total*pick(random, .7, .7, .5, 1)),
		TotalConcurrency:      total,
		StableWindowSeconds:   stable,
		PanicWindowSeconds:    max(1, stable*pick(random, 10, 10, 20)/100),
		PanicThresholdRatio:   pick(random, 2., 2, 1.5, 4),
		MaxScaleUpRatio:       pick(random, 1000., 1000, 1.1, 2),
		MaxScaleDownRatio:     pick(random, 2., 2, 1.1, 10),
		ScaleDownDelaySeconds: pick(random, 0, 0, 0, 7, 20, 60),
		ActivationScale:       pick(random, int32(0), 0, 1, 3),
		TargetBurstCapacity:   pick(random, 200., 200, 0, -1),
	}
}

func (s Settings) decider() *scaling.DeciderSpec {
	return &scaling.DeciderSpec{
		MaxScaleUpRate:      s.MaxScaleUpRatio,
		MaxScaleDownRate:    s.MaxScaleDownRatio,
		ScalingMetric:       autoscaling.Concurrency,
		TargetValue:         s.TargetConcurrency,
		TotalValue:          s.TotalConcurrency,
		TargetBurstCapacity: s.TargetBurstCapacity,
		PanicThreshold:      s.PanicThresholdRatio,
		StableWindow:        seconds(s.StableWindowSeconds),
		ScaleDownDelay:      seconds(s.ScaleDownDelaySeconds),
		Reachable:           true,
		ActivationScale:     s.ActivationScale,
	}
}

func seconds(count int) time.Duration { return time.Duration(count) * time.Second }

func pick[T any](random *rand.Rand, choices ...T) T { return choices[random.IntN(len(choices))] }
