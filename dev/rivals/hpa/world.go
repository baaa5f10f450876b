// Package hpa makes decision vectors with the unmodified Kubernetes HPA controller, on a clock of its own.
package hpa

import (
	"context"
	"errors"
	"fmt"
	"time"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	scaleclient "k8s.io/client-go/scale"
	"k8s.io/client-go/tools/cache"
	"k8s.io/kubernetes/pkg/controller/podautoscaler"
	"k8s.io/kubernetes/pkg/controller/podautoscaler/metrics"
)

const namespace, fleetName = "prod", "fleet"

var fleetLabels = map[string]string{"app": fleetName}

// World is what one controller sees and writes: one Deployment, its pods and one metric.
type World struct {
	replicas, statusReplicas int32
	look                     Look
	pods                     cache.Indexer
	ticks                    int
}

// Start runs the controller until the context ends. Its first tick comes one period later.
func Start(ctx context.Context, settings Settings, replicas int32) *World {
	client := fake.NewClientset(settings.object())
	factory := informers.NewSharedInformerFactory(client, 0)
	apps := schema.GroupVersion{Group: "apps", Version: "v1"}
	mapper := meta.NewDefaultRESTMapper([]schema.GroupVersion{apps})
	mapper.Add(apps.WithKind("Deployment"), meta.RESTScopeNamespace)
	world := &World{replicas: replicas, pods: factory.Core().V1().Pods().Informer().GetIndexer()}
	controller := podautoscaler.NewHorizontalController(
		ctx, client.CoreV1(), world, client.AutoscalingV2(), mapper, world,
		factory.Autoscaling().V2().HorizontalPodAutoscalers(), factory.Core().V1().Pods(),
		seconds(settings.PeriodSeconds), seconds(settings.DownscaleStabilizationSeconds), settings.ControllerToleranceRatio,
		5*time.Minute, 30*time.Second,
	)
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	go controller.Run(ctx, 1)
	return world
}

// Show puts the look before the controller, to be seen at its next tick.
func (w *World) Show(look Look, statusReplicas int32) error {
	w.look, w.statusReplicas = look, statusReplicas
	pods := []any{}
	add := func(kind string, count int, phase corev1.PodPhase) {
		for number := range count {
			pods = append(pods, pod(fmt.Sprintf("%s-%d", kind, number), phase))
		}
	}
	add("measured", len(look.ValuesMilli), corev1.PodRunning)
	add("missing", look.MissingPods, corev1.PodRunning)
	add("pending", look.PendingPods, corev1.PodPending)
	add("failed", look.FailedPods, corev1.PodFailed)
	return w.pods.Replace(pods, "")
}

func pod(name string, phase corev1.PodPhase) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace, Labels: fleetLabels},
		Status:     corev1.PodStatus{Phase: phase},
	}
}

// Scales, Get, Update and Patch are the scale subresource of the Deployment.
func (w *World) Scales(string) scaleclient.ScaleInterface { return w }

func (w *World) Get(context.Context, schema.GroupResource, string, metav1.GetOptions) (*autoscalingv1.Scale, error) {
	w.ticks++
	return &autoscalingv1.Scale{
		ObjectMeta: metav1.ObjectMeta{Name: fleetName, Namespace: namespace},
		Spec:       autoscalingv1.ScaleSpec{Replicas: w.replicas},
		Status:     autoscalingv1.ScaleStatus{Replicas: w.statusReplicas, Selector: labels.FormatLabels(fleetLabels)},
	}, nil
}

func (w *World) Update(_ context.Context, _ schema.GroupResource, scale *autoscalingv1.Scale, _ metav1.UpdateOptions) (*autoscalingv1.Scale, error) {
	w.replicas = scale.Spec.Replicas
	return scale, nil
}

func (w *World) Patch(context.Context, schema.GroupVersionResource, string, types.PatchType, []byte, metav1.PatchOptions) (*autoscalingv1.Scale, error) {
	return nil, errors.ErrUnsupported
}

// GetRawMetric answers for the Pods metric: pods without a value, pending and failed ones are not in it.
func (w *World) GetRawMetric(string, string, labels.Selector, labels.Selector) (metrics.PodMetricsInfo, time.Time, error) {
	values := metrics.PodMetricsInfo{}
	for number, value := range w.look.ValuesMilli {
		values[fmt.Sprintf("measured-%d", number)] = metrics.PodMetric{Timestamp: time.Now(), Window: time.Minute, Value: value}
	}
	return values, time.Now(), nil
}

// GetExternalMetric answers for the External metric: one series, or an error where there is no data.
func (w *World) GetExternalMetric(string, string, labels.Selector) ([]int64, time.Time, error) {
	if w.look.TotalMilli == nil {
		return nil, time.Time{}, errors.New("no data")
	}
	return []int64{*w.look.TotalMilli}, time.Now(), nil
}

func (w *World) GetResourceMetric(context.Context, corev1.ResourceName, string, labels.Selector, string) (metrics.PodMetricsInfo, time.Time, error) {
	return nil, time.Time{}, errors.ErrUnsupported
}

func (w *World) GetObjectMetric(string, string, *autoscalingv2.CrossVersionObjectReference, labels.Selector) (int64, time.Time, error) {
	return 0, time.Time{}, errors.ErrUnsupported
}

func seconds(count int32) time.Duration { return time.Duration(count) * time.Second }
