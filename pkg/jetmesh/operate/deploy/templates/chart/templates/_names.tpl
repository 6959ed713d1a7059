{{- /* What several templates say alike. Those that take more than the root get a dict. */ -}}

{{- define "facts" -}}
{{ .Files.Get "files/topology.yaml" }}
{{- end }}

{{- /* .root, .name */ -}}
{{- define "selector" -}}
app.kubernetes.io/name: {{ .name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- end }}

{{- define "labels" -}}
{{ include "selector" . }}
app.kubernetes.io/part-of: {{ .root.Chart.Name }}
{{- end }}

{{- define "pod" -}}
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
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.priorityClass }}
priorityClassName: {{ . }}
{{- end }}
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
{{- mulf (float64 $number) (get $units (trimPrefix $number .)) -}}
{{- end }}

{{- /* The number of MiB in "1Gi". */ -}}
{{- define "mebibytes" -}}
{{- $number := regexFind "^[0-9.]+" . -}}
{{- $units := dict "Ki" 0.0009765625 "Mi" 1.0 "Gi" 1024.0 "Ti" 1048576.0 -}}
{{- mulf (float64 $number) (get $units (trimPrefix $number .)) -}}
{{- end }}

{{- /* How long Kubernetes waits for a pod that drains: settling, flushing and closing follow. */ -}}
{{- define "termination" -}}
{{- addf (include "seconds" .Values.grace | float64) 10.0 | ceil | int -}}
{{- end }}

{{- define "bundled" -}}
{{- if not .Values.nats.url }}true{{ end -}}
{{- end }}

{{- /* Three copies survive one node; five would only be slower. */ -}}
{{- define "copies" -}}
{{- if ge (int .Values.nats.nodes) 3 }}3{{ else }}1{{ end -}}
{{- end }}
