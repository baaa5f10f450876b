// Command kpa makes decision vectors with Knative's own collector and autoscaler.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"math/rand/v2"
	"os"
	"time"
)

const (
	seed        = 6
	tickSeconds = 2
)

// Vector is one revision over time. Samples come once per second; the other lists have one entry per tick.
type Vector struct {
	Name                string     `json:"name"`
	Settings            Settings   `json:"settings"`
	Samples             []*float64 `json:"samples_concurrency"`
	ReadyPodsAtStart    int        `json:"ready_pods_at_start"`
	ReadyPods           []int      `json:"ready_pods"`
	Stable              []*float64 `json:"stable_concurrency"`
	Panic               []*float64 `json:"panic_concurrency"`
	DesiredPods         []*int32   `json:"desired_pods"`
	ExcessBurstCapacity []*int32   `json:"excess_burst_capacity"`
}

func main() {
	output := flag.String("output", "", "the file to write")
	source := flag.String("source", "", "module and version, as `go list -m` prints them")
	flag.Parse()
	random := rand.New(rand.NewPCG(seed, 0))
	vectors := []Vector{}
	for _, plan := range []struct{ vectors, ticks int }{{180, 10}, {36, 60}} {
		for range plan.vectors {
			vectors = append(vectors, play(random, fmt.Sprintf("revision-%03d", len(vectors)), plan.ticks))
		}
	}
	content, err := json.Marshal(map[string]any{"source": *source, "seed": seed, "vectors": vectors})
	if err == nil {
		err = os.WriteFile(*output, append(content, '\n'), 0o644)
	}
	if err != nil {
		log.Fatal(err)
	}
}

func play(random *rand.Rand, name string, ticks int) Vector {
	settings := randomSettings(random)
	ready := random.IntN(12)
	// An even second: two kinds of bucket are cut by the clock. The autoscaler reads the clock when it is made, and only
	// then, so its first panic is less than one tick younger than this.
	now := time.Now().Truncate(tickSeconds * time.Second)
	revision, err := Start(settings, ready)
	if err != nil {
		log.Fatal(err)
	}
	defer revision.Stop()
	vector := Vector{Name: name, Settings: settings, ReadyPodsAtStart: ready}
	fleet := newFleet(random, settings, ready)
	for range ticks {
		for range tickSeconds {
			now = now.Add(time.Second)
			sample := fleet.sample()
			vector.Samples = append(vector.Samples, sample)
			if sample != nil {
				revision.Record(now, *sample)
			}
		}
		decision := revision.Decide(now)
		vector.add(revision.readyPods, decision)
		revision.readyPods = fleet.follow(decision.desiredPods)
	}
	return vector
}

func (v *Vector) add(readyPods int, decision Decision) {
	v.ReadyPods = append(v.ReadyPods, readyPods)
	v.Stable = append(v.Stable, decision.stable)
	v.Panic = append(v.Panic, decision.panicking)
	v.DesiredPods = append(v.DesiredPods, decision.desiredPods)
	v.ExcessBurstCapacity = append(v.ExcessBurstCapacity, decision.excessBurstCapacity)
}
