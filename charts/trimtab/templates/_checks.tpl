{{/* Values that contradict each other or the cluster: one sentence that says what to change, never silence. */}}

{{- define "trimtab.checks" -}}
{{- with .Values.prometheus }}
{{- if not .url }}
{{- fail "prometheus.url is not set: give the address of the Prometheus that scrapes your inference pods, for example --set prometheus.url=http://prometheus-operated.monitoring.svc:9090" }}
{{- end }}
{{- if and .auth.basic.secretName .auth.bearer.secretName }}
{{- fail "prometheus.auth.basic.secretName and prometheus.auth.bearer.secretName are both set: keep one of them" }}
{{- end }}
{{- if and .caBundle.inline .caBundle.configMapName }}
{{- fail "prometheus.caBundle.inline and prometheus.caBundle.configMapName are both set: keep one of them" }}
{{- end }}
{{- if and (or .caBundle.inline .caBundle.configMapName) (not (hasPrefix "https://" .url)) }}
{{- fail "prometheus.caBundle is set, but prometheus.url does not begin with https://: change the address or remove the bundle" }}
{{- end }}
{{- if ne (empty .tenantHeader.name) (empty .tenantHeader.value) }}
{{- fail "prometheus.tenantHeader needs both name and value, for example name=X-Scope-OrgID, value=my-tenant" }}
{{- end }}
{{- end }}
{{- end }}

{{/* Fails where the kind that a value asks for is not served. Arguments: root, value (its path), kind. */}}
{{- define "trimtab.requireKind" -}}
{{- if not (.root.Capabilities.APIVersions.Has (printf "monitoring.coreos.com/v1/%s" .kind)) }}
{{- fail (printf "%s is true, but the cluster does not serve monitoring.coreos.com/v1 %s: install the CRDs of Prometheus Operator first or set %s=false (helm template: add --api-versions monitoring.coreos.com/v1/%s)" .value .kind .value .kind) }}
{{- end }}
{{- end }}
