package main

import (
	"context"
	"time"

	"go.uber.org/zap"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"knative.dev/serving/pkg/apis/autoscaling/v1alpha1"
	"knative.dev/serving/pkg/autoscaler/metrics"
	"knative.dev/serving/pkg/autoscaler/scaling"
)

var key = types.NamespacedName{Namespace: "prod", Name: "fleet"}

// Revision is Knative's collector and autoscaler, with what they see. Its clock is the caller's.
type Revision struct {
	readyPods int
	collector *metrics.MetricCollector
	scaler    scaling.UniScaler
}

// Start makes the autoscaler, which begins in panic where more than one pod is ready.
func Start(settings Settings, readyPods int) (*Revision, error) {
	revision := &Revision{readyPods: readyPods}
	revision.collector = metrics.NewMetricCollector(noScraper, zap.NewNop().Sugar())
	revision.scaler = scaling.New(
		context.Background(), key.Namespace, key.Name, revision.collector, revision, settings.decider())
	return revision, revision.collector.CreateOrUpdate(&v1alpha1.Metric{
		ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name},
		Spec: v1alpha1.MetricSpec{
			StableWindow: seconds(settings.StableWindowSeconds),
			PanicWindow:  seconds(settings.PanicWindowSeconds),
			ScrapeTarget: key.Name,
		},
	})
}

// noScraper leaves the collector without one: it would read by the clock outside.
func noScraper(*v1alpha1.Metric, *zap.SugaredLogger) (metrics.StatsScraper, error) { return nil, nil }

// Stop ends the collection.
func (r *Revision) Stop() { r.collector.Delete(key.Namespace, key.Name) }

// Record hands over the concurrency of the whole revision, as its scraper would.
func (r *Revision) Record(now time.Time, concurrency float64) {
	r.collector.Record(key, now, metrics.Stat{PodName: key.Name, AverageConcurrentRequests: concurrency})
}

// Decision is one tick: the two averages, and what the autoscaler made of them. Without data it makes nothing.
type Decision struct {
	stable, panicking   *float64
	desiredPods         *int32
	excessBurstCapacity *int32
}

// Decide is one tick of the autoscaler.
func (r *Revision) Decide(now time.Time) Decision {
	result := r.scaler.Scale(zap.NewNop().Sugar(), now)
	if !result.ScaleValid {
		return Decision{}
	}
	stable, panicking, _ := r.collector.StableAndPanicConcurrency(key, now)
	return Decision{&stable, &panicking, &result.DesiredPodCount, &result.ExcessBurstCapacity}
}

// ReadyCount and NotReadyCount answer the autoscaler.
func (r *Revision) ReadyCount() (int, error) { return r.readyPods, nil }

func (r *Revision) NotReadyCount() (int, error) { return 0, nil }
