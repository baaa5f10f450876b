{{/* What the operator may do in each namespace that it watches. Every verb here is used; a test compares the two. */}}

{{- define "trimtab.watchedRules" -}}
- apiGroups: [trimtab.dev]
  resources: [optimizationpolicies]
  verbs: [get, list, watch]
- apiGroups: [trimtab.dev]
  resources: [optimizationpolicies/status]
  verbs: [patch]
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get]
- apiGroups: [apps]
  resources: [deployments/scale]
  verbs: [get, patch]
- apiGroups: [""]
  resources: [pods]
  verbs: [list]
- apiGroups: [autoscaling]
  resources: [horizontalpodautoscalers]
  verbs: [list]
- apiGroups: [keda.sh]
  resources: [scaledobjects]
  verbs: [list]
- apiGroups: [""]
  resources: [events]
  verbs: [create, patch]
{{- end }}

{{/* What has no namespace: only the three definitions by name, for the schema revision that /readyz compares. */}}
{{- define "trimtab.clusterRules" -}}
- apiGroups: [apiextensions.k8s.io]
  resources: [customresourcedefinitions]
  resourceNames: [nodetunings.trimtab.dev, optimizationpolicies.trimtab.dev, optimizationtrials.trimtab.dev]
  verbs: [get]
{{- end }}
