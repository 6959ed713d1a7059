{{- /* What several templates say alike. Those that take more than the root get a dict. */ -}}

{{- define "facts" -}}
{{ .Files.Get "files/topology.yaml" }}
{{- end }}

{{- /* .root, .name */ -}}
{{- define "selector" -}}
app.kubernetes.io/name: {{ .name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- end }}

{{- /* Of pods: what changes with every version of the chart would start them anew. */ -}}
{{- define "own labels" -}}
{{ include "selector" . }}
app.kubernetes.io/part-of: {{ .root.Chart.Name }}
{{- end }}

{{- define "labels" -}}
{{ include "own labels" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- /* .root, .name, .own: values of these pods alone, if there are any. */ -}}
{{- define "pod labels" -}}
{{- $own := .own | default dict }}
{{- toYaml (merge (include "own labels" . | fromYaml) ($own.podLabels | default dict) .root.Values.podLabels) }}
{{- end }}

{{- /* The same, and .annotations: those that the chart writes itself. */ -}}
{{- define "pod annotations" -}}
{{- $own := .own | default dict }}
{{- with merge (.annotations | default dict) ($own.podAnnotations | default dict) .root.Values.podAnnotations }}
{{- toYaml . }}
{{- end }}
{{- end }}

{{- /* .root, .name, .account, .annotations: of a ServiceAccount, with those that the chart writes. */ -}}
{{- define "account metadata" -}}
{{- $all := .root.Values.serviceAccount }}
{{- $own := .account | default (dict "labels" dict "annotations" dict) }}
labels: {{- merge (include "labels" . | fromYaml) $own.labels $all.labels | toYaml | nindent 2 }}
{{- with merge (.annotations | default dict) $own.annotations $all.annotations }}
annotations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- /* .root, .own as above, .affinity: where these pods should run unless values say otherwise. */ -}}
{{- define "pod" -}}
{{- $all := .root.Values }}
{{- $own := .own | default dict }}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile:
    type: RuntimeDefault
{{- with $all.imagePullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . | quote }}
  {{- end }}
{{- end }}
{{- with merge (dict) ($own.nodeSelector | default dict) $all.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with concat $all.tolerations ($own.tolerations | default list) }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with merge (deepCopy ($own.affinity | default $all.affinity)) (.affinity | default dict) }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $own.priorityClass | default $all.priorityClass }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- end }}

{{- /* Of a container; a limit of CPU only where one is given. */ -}}
{{- define "resources" -}}
{{- $limits := .limits }}
{{- if eq (toString $limits.cpu) "" }}{{ $limits = omit $limits "cpu" }}{{ end }}
{{- toYaml (dict "requests" .requests "limits" $limits) }}
{{- end }}

{{- define "confined" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{- /* A whole number in digits: one from a values file is a float64, which prints as 1.048576e+06. */ -}}
{{- define "number" -}}
{{ int64 . }}
{{- end }}

{{- /* The number of seconds in "45s". */ -}}
{{- define "seconds" -}}
{{- $number := regexFind "^[0-9.]+" . -}}
{{- $units := dict "ms" 0.001 "s" 1.0 "m" 60.0 "h" 3600.0 "d" 86400.0 -}}
{{- $seconds := mulf (float64 $number) (get $units (trimPrefix $number .)) -}}
{{- if gt $seconds 9.2e9 }}
  {{- fail (printf "%s is longer than the server can count; stay below 292 years." .) }}
{{- end }}
{{- $seconds -}}
{{- end }}

{{- /* The number of MiB in "1Gi". */ -}}
{{- define "mebibytes" -}}
{{- $number := regexFind "^[0-9.]+" . -}}
{{- $units := dict "Ki" 0.0009765625 "Mi" 1.0 "Gi" 1024.0 "Ti" 1048576.0 -}}
{{- mulf (float64 $number) (get $units (trimPrefix $number .)) -}}
{{- end }}

{{- /* The number of cores in "50m" or 2. */ -}}
{{- define "cores" -}}
{{- $text := toString . -}}
{{- mulf (float64 (trimSuffix "m" $text)) (ternary 0.001 1.0 (hasSuffix "m" $text)) -}}
{{- end }}

{{- /* How long Kubernetes waits for a pod that drains and lingers: settling, flushing and closing follow. */ -}}
{{- define "termination" -}}
{{- addf (include "seconds" .Values.grace | float64) (include "seconds" .Values.linger | float64) 10.0 | ceil | int -}}
{{- end }}

{{- define "bundled" -}}
{{- if not .Values.nats.url }}true{{ end -}}
{{- end }}

{{- /* Three copies survive one node; five would only be slower. */ -}}
{{- define "copies" -}}
{{- if ge (int .Values.nats.nodes) 3 }}3{{ else }}1{{ end -}}
{{- end }}

{{- /* Whether helm sees the cluster: `helm template` does not, nor does what is built on it. */ -}}
{{- define "cluster" -}}
{{- $namespace := .Release.Namespace }}
{{- $seen := or (lookup "apps/v1" "StatefulSet" $namespace "nats") (lookup "v1" "Namespace" "" $namespace) }}
{{- /* with --create-namespace there is none yet */}}
{{- if or $seen (lookup "v1" "Namespace" "" "kube-system") }}true{{ end -}}
{{- end }}

{{- /* Argo CD: NATS first, then streams and durables, then services. */ -}}
{{- define "wave" -}}
argocd.argoproj.io/sync-wave: {{ . | quote }}
{{- end }}
