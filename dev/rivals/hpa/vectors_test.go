package hpa

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"testing/synctest"
	"time"

	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
)

var (
	output = flag.String("output", "", "the file to write")
	source = flag.String("source", "", "module and version, as `go list -m` prints them")
)

const seed = 6

// Vector is one HPA over time; each list has one entry per tick.
type Vector struct {
	Name            string    `json:"name"`
	Settings        Settings  `json:"settings"`
	AtSeconds       []int32   `json:"at_seconds"`
	CurrentReplicas []int32   `json:"current_replicas"`
	StatusReplicas  []int32   `json:"status_replicas,omitempty"`
	TotalMilli      []*int64  `json:"total_milli,omitempty"`
	ValuesMilli     [][]int64 `json:"values_milli,omitempty"`
	MissingPods     []int     `json:"missing_pods,omitempty"`
	PendingPods     []int     `json:"pending_pods,omitempty"`
	FailedPods      []int     `json:"failed_pods,omitempty"`
	DesiredReplicas []int32   `json:"desired_replicas"`
}

// The bubble gives the controller a clock that jumps to the next tick, so its windows are exact and take no time.
func TestVectors(t *testing.T) {
	// The usual handlers wait until some time after the last error, by the clock outside.
	utilruntime.ErrorHandlers = nil
	synctest.Test(t, func(t *testing.T) {
		random := rand.New(rand.NewPCG(seed, 0))
		vectors := []Vector{}
		for _, plan := range []struct {
			metric         string
			vectors, ticks int
		}{{"Pods", 60, 1}, {"External", 60, 1}, {"Pods", 70, 12}, {"External", 60, 26}} {
			for range plan.vectors {
				name := fmt.Sprintf("%s-%03d", plan.metric, len(vectors))
				vectors = append(vectors, play(t, random, name, plan.metric, plan.ticks))
			}
		}
		write(t, vectors)
	})
}

func play(t *testing.T, random *rand.Rand, name, metric string, ticks int) Vector {
	settings := randomSettings(random, metric)
	vector := Vector{Name: name, Settings: settings}
	replicas := 1 + random.Int32N(settings.MaxReplicas/2)
	load := newLoad(random, settings, replicas)
	ctx, stop := context.WithCancel(t.Context())
	world := Start(ctx, settings, replicas)
	synctest.Wait()
	for tick := range ticks {
		time.Sleep(seconds(settings.PeriodSeconds) / 2)
		if random.IntN(30) == 0 {
			world.replicas = random.Int32N(settings.MaxReplicas + 3)
		}
		current, status := world.replicas, max(1, world.replicas-random.Int32N(2))
		look := load.look(current)
		if err := world.Show(look, status); err != nil {
			t.Fatal(err)
		}
		time.Sleep(seconds(settings.PeriodSeconds) / 2)
		synctest.Wait()
		if world.ticks != tick+1 {
			t.Fatalf("%s: %d ticks of the controller after %d periods", name, world.ticks, tick+1)
		}
		vector.add(int32(tick+1)*settings.PeriodSeconds, current, status, look, world.replicas)
	}
	stop()
	synctest.Wait()
	return vector
}

func (v *Vector) add(at, current, status int32, look Look, desired int32) {
	v.AtSeconds = append(v.AtSeconds, at)
	v.CurrentReplicas = append(v.CurrentReplicas, current)
	v.DesiredReplicas = append(v.DesiredReplicas, desired)
	if v.Settings.Metric == "External" {
		v.StatusReplicas = append(v.StatusReplicas, status)
		v.TotalMilli = append(v.TotalMilli, look.TotalMilli)
		return
	}
	v.ValuesMilli = append(v.ValuesMilli, look.ValuesMilli)
	v.MissingPods = append(v.MissingPods, look.MissingPods)
	v.PendingPods = append(v.PendingPods, look.PendingPods)
	v.FailedPods = append(v.FailedPods, look.FailedPods)
}

func write(t *testing.T, vectors []Vector) {
	content, err := json.Marshal(map[string]any{"source": *source, "seed": seed, "vectors": vectors})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(*output, append(content, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
}
