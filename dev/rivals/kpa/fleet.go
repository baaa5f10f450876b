package main

import (
	"math"
	"math/rand/v2"
)

const mostPods = 60

// Fleet carries a concurrency that wanders, jumps, rests at nothing or goes unread; its pods follow late.
type Fleet struct {
	random                     *rand.Rand
	settings                   Settings
	concurrency                float64
	restSeconds, silentSeconds int
	lagTicks                   int
	asked                      []int
}

func newFleet(random *rand.Rand, settings Settings, readyPods int) *Fleet {
	return &Fleet{
		random:      random,
		settings:    settings,
		concurrency: settings.TargetConcurrency * math.Max(1, float64(readyPods)),
		lagTicks:    random.IntN(8),
		asked:       []int{readyPods},
	}
}

// sample returns the concurrency of the next second, or nothing where no pod answered.
func (f *Fleet) sample() *float64 {
	f.concurrency *= .93 + .15*f.random.Float64()
	switch f.random.IntN(60) {
	case 0:
		f.restSeconds = 5 + f.random.IntN(80)
	case 1:
		f.silentSeconds = 1 + f.random.IntN(f.settings.StableWindowSeconds+5)
	case 2, 3:
		f.concurrency *= 2 + 6*f.random.Float64()
	case 4:
		f.concurrency /= 2 + 6*f.random.Float64()
	}
	f.concurrency = min(max(f.concurrency, f.settings.TargetConcurrency/4), f.settings.TargetConcurrency*mostPods)
	f.restSeconds, f.silentSeconds = max(0, f.restSeconds-1), max(0, f.silentSeconds-1)
	sample := math.Round(f.concurrency*10) / 10
	if f.silentSeconds > 0 {
		return nil
	}
	if f.restSeconds > 0 {
		sample = 0
	}
	return &sample
}

// follow takes the wish of this tick and returns how many pods are ready at the next one.
func (f *Fleet) follow(desired *int32) int {
	next := f.asked[len(f.asked)-1]
	if desired != nil {
		next = min(int(*desired), mostPods)
	}
	f.asked = append(f.asked, next)
	return f.asked[max(0, len(f.asked)-1-f.lagTicks)]
}
