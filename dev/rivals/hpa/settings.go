package hpa

import (
	"math/rand/v2"
	"strconv"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	defaults "k8s.io/kubernetes/pkg/apis/autoscaling/v2"
	"k8s.io/utils/ptr"
)

// Settings are those of one HPA object and of its controller. Without rules, the controller's older path decides.
type Settings struct {
	Metric                        string  `json:"metric"`
	TargetMilli                   int64   `json:"target_milli"`
	MinReplicas                   int32   `json:"min_replicas"`
	MaxReplicas                   int32   `json:"max_replicas"`
	PeriodSeconds                 int32   `json:"period_seconds"`
	DownscaleStabilizationSeconds int32   `json:"downscale_stabilization_seconds"`
	ControllerToleranceRatio      float64 `json:"controller_tolerance_ratio"`
	ScaleUp                       *Rules  `json:"scale_up"`
	ScaleDown                     *Rules  `json:"scale_down"`
}

// Rules are one direction of an HPA's behavior, with its defaults filled in as the API server does.
type Rules struct {
	StabilizationSeconds *int32   `json:"stabilization_seconds"`
	SelectPolicy         string   `json:"select_policy"`
	Policies             []Policy `json:"policies"`
	ToleranceRatio       *float64 `json:"tolerance_ratio"`
}

// Policy is one limit of the rate.
type Policy struct {
	Type          string `json:"type"`
	Value         int32  `json:"value"`
	PeriodSeconds int32  `json:"period_seconds"`
}

func randomSettings(random *rand.Rand, metric string) Settings {
	settings := Settings{
		Metric:                        metric,
		TargetMilli:                   pick(random, int64(500), 700, 1000, 4000, 8000, 10000, 33333),
		MinReplicas:                   pick(random, int32(1), 1, 1, 2, 4),
		MaxReplicas:                   pick(random, int32(8), 16, 40, 100),
		PeriodSeconds:                 pick(random, int32(15), 15, 15, 5, 30),
		DownscaleStabilizationSeconds: pick(random, int32(300), 300, 60, 0),
		ControllerToleranceRatio:      pick(random, .1, .1, .2, .05),
	}
	if random.IntN(5) > 0 {
		settings.fillDefaults(randomBehavior(random))
	}
	return settings
}

func (s *Settings) fillDefaults(behavior *autoscalingv2.HorizontalPodAutoscalerBehavior) {
	object := &autoscalingv2.HorizontalPodAutoscaler{Spec: autoscalingv2.HorizontalPodAutoscalerSpec{Behavior: behavior}}
	defaults.SetDefaults_HorizontalPodAutoscalerBehavior(object)
	s.ScaleUp, s.ScaleDown = recorded(object.Spec.Behavior.ScaleUp), recorded(object.Spec.Behavior.ScaleDown)
}

// randomBehavior leaves things out at times, so that the defaults of the API are seen as well.
func randomBehavior(random *rand.Rand) *autoscalingv2.HorizontalPodAutoscalerBehavior {
	behavior := &autoscalingv2.HorizontalPodAutoscalerBehavior{}
	if random.IntN(2) == 0 {
		behavior.ScaleUp = randomRules(random)
	}
	if random.IntN(2) == 0 {
		behavior.ScaleDown = randomRules(random)
	}
	return behavior
}

func randomRules(random *rand.Rand) *autoscalingv2.HPAScalingRules {
	rules := &autoscalingv2.HPAScalingRules{}
	if random.IntN(3) > 0 {
		rules.StabilizationWindowSeconds = ptr.To(pick(random, int32(0), 15, 45, 60, 120))
	}
	if random.IntN(3) > 0 {
		rules.SelectPolicy = ptr.To(pick(random, autoscalingv2.MaxChangePolicySelect, autoscalingv2.MaxChangePolicySelect,
			autoscalingv2.MinChangePolicySelect, autoscalingv2.MinChangePolicySelect, autoscalingv2.DisabledPolicySelect))
	}
	for range random.IntN(3) {
		rules.Policies = append(rules.Policies, randomPolicy(random))
	}
	if random.IntN(3) == 0 {
		rules.Tolerance = ptr.To(resource.MustParse(pick(random, "0", "0.05", "0.2")))
	}
	return rules
}

func randomPolicy(random *rand.Rand) autoscalingv2.HPAScalingPolicy {
	policy := autoscalingv2.HPAScalingPolicy{PeriodSeconds: pick(random, int32(15), 30, 60, 90)}
	if random.IntN(2) == 0 {
		policy.Type, policy.Value = autoscalingv2.PodsScalingPolicy, pick(random, int32(1), 2, 4)
	} else {
		policy.Type, policy.Value = autoscalingv2.PercentScalingPolicy, pick(random, int32(10), 50, 100, 200)
	}
	return policy
}

func recorded(rules *autoscalingv2.HPAScalingRules) *Rules {
	record := &Rules{StabilizationSeconds: rules.StabilizationWindowSeconds, SelectPolicy: string(*rules.SelectPolicy)}
	for _, policy := range rules.Policies {
		record.Policies = append(record.Policies, Policy{string(policy.Type), policy.Value, policy.PeriodSeconds})
	}
	if rules.Tolerance != nil {
		record.ToleranceRatio = ptr.To(rules.Tolerance.AsApproximateFloat64())
	}
	return record
}

// object returns the HPA as the API server would store it.
func (s Settings) object() *autoscalingv2.HorizontalPodAutoscaler {
	object := &autoscalingv2.HorizontalPodAutoscaler{
		ObjectMeta: metav1.ObjectMeta{Name: fleetName, Namespace: namespace},
		Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
			ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: fleetName},
			MinReplicas:    ptr.To(s.MinReplicas),
			MaxReplicas:    s.MaxReplicas,
			Metrics:        []autoscalingv2.MetricSpec{s.metric()},
		},
	}
	if s.ScaleUp != nil {
		object.Spec.Behavior = &autoscalingv2.HorizontalPodAutoscalerBehavior{ScaleUp: s.ScaleUp.rules(), ScaleDown: s.ScaleDown.rules()}
	}
	return object
}

func (s Settings) metric() autoscalingv2.MetricSpec {
	identifier := autoscalingv2.MetricIdentifier{Name: "load"}
	target := autoscalingv2.MetricTarget{
		Type:         autoscalingv2.AverageValueMetricType,
		AverageValue: resource.NewMilliQuantity(s.TargetMilli, resource.DecimalSI),
	}
	if s.Metric == "Pods" {
		return autoscalingv2.MetricSpec{
			Type: autoscalingv2.PodsMetricSourceType,
			Pods: &autoscalingv2.PodsMetricSource{Metric: identifier, Target: target},
		}
	}
	return autoscalingv2.MetricSpec{
		Type:     autoscalingv2.ExternalMetricSourceType,
		External: &autoscalingv2.ExternalMetricSource{Metric: identifier, Target: target},
	}
}

func (r *Rules) rules() *autoscalingv2.HPAScalingRules {
	rules := &autoscalingv2.HPAScalingRules{
		StabilizationWindowSeconds: r.StabilizationSeconds,
		SelectPolicy:               ptr.To(autoscalingv2.ScalingPolicySelect(r.SelectPolicy)),
	}
	for _, policy := range r.Policies {
		rules.Policies = append(rules.Policies, autoscalingv2.HPAScalingPolicy{
			Type: autoscalingv2.HPAScalingPolicyType(policy.Type), Value: policy.Value, PeriodSeconds: policy.PeriodSeconds,
		})
	}
	if r.ToleranceRatio != nil {
		tolerance := resource.MustParse(strconv.FormatFloat(*r.ToleranceRatio, 'f', -1, 64))
		rules.Tolerance = &tolerance
	}
	return rules
}

func pick[T any](random *rand.Rand, choices ...T) T { return choices[random.IntN(len(choices))] }
