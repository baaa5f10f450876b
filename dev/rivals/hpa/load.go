package hpa

import "math/rand/v2"

// Look is what the controller finds at one tick. A missing pod runs and has no value.
type Look struct {
	ValuesMilli []int64
	MissingPods int
	PendingPods int
	FailedPods  int
	TotalMilli  *int64
}

// Load is what a fleet has to carry, tick by tick: it wanders, jumps, rests at nothing, or keeps to the target's edges.
type Load struct {
	random     *rand.Rand
	settings   Settings
	totalMilli float64
	resting    int
}

func newLoad(random *rand.Rand, settings Settings, replicas int32) *Load {
	return &Load{random: random, settings: settings, totalMilli: float64(replicas) * float64(settings.TargetMilli)}
}

// look returns what a fleet of so many replicas shows next.
func (l *Load) look(replicas int32) Look {
	l.advance()
	if l.settings.Metric == "External" {
		return Look{TotalMilli: l.external(replicas)}
	}
	// Pods come some time after they are asked for, and stay for a while after they are not.
	pods := max(0, int(replicas)+pick(l.random, 0, 0, 0, -3, -1, 1, 3))
	look := Look{FailedPods: l.few(12, 2), PendingPods: min(l.few(3, 3), pods)}
	look.MissingPods = min(l.few(3, 3), pods-look.PendingPods)
	look.ValuesMilli = l.shares(pods - look.PendingPods - look.MissingPods)
	return look
}

func (l *Load) advance() {
	switch {
	case l.resting > 0:
		l.resting--
	case l.random.IntN(25) == 0:
		l.resting = 3 + l.random.IntN(12)
	case l.random.IntN(8) == 0:
		l.totalMilli = l.random.Float64() * float64(l.settings.MaxReplicas) * float64(l.settings.TargetMilli) * 1.2
	default:
		l.totalMilli *= .8 + .45*l.random.Float64()
	}
	l.totalMilli = max(l.totalMilli, float64(l.settings.TargetMilli)/2)
}

// few returns 0, or up to `most` once in `every` ticks.
func (l *Load) few(every, most int) int {
	if l.random.IntN(every) > 0 {
		return 0
	}
	return 1 + l.random.IntN(most)
}

// external returns the total, nothing where there is no data, or a value at an edge of the tolerance.
func (l *Load) external(replicas int32) *int64 {
	if l.random.IntN(20) == 0 {
		return nil
	}
	total := int64(l.totalMilli)
	if l.resting > 0 {
		total = 0
	} else if l.random.IntN(4) == 0 {
		total = l.edge(int64(replicas) * l.settings.TargetMilli)
	}
	return &total
}

// shares spreads the total over the pods that have a value.
func (l *Load) shares(pods int) []int64 {
	values := make([]int64, pods)
	atEdge := l.random.IntN(4) == 0
	edge := l.edge(l.settings.TargetMilli)
	for number := range values {
		switch {
		case l.resting > 0:
		case atEdge:
			values[number] = edge
		default:
			values[number] = int64(l.totalMilli / float64(pods) * (.7 + .6*l.random.Float64()))
		}
	}
	if atEdge && pods > 0 {
		// The average is cut to whole thousandths: less than one more in all pods is not seen.
		values[0] += l.random.Int64N(2)
	}
	return values
}

// edge returns a value at the target or at a limit of the usual tolerances, or one thousandth beside it.
func (l *Load) edge(target int64) int64 {
	thousandths := pick(l.random, int64(1000), 1100, 900, 1050, 950, 1200, 800)
	return target*thousandths/1000 + pick(l.random, int64(-1), 0, 0, 1)
}
