{{- /* Where pods send traces and metrics. */ -}}

{{- /* .root, .name: the variables of a service's pods, its own before those of all, as JSON. */ -}}
{{- define "own variables" -}}
{{- $own := deepCopy ((get .root.Values.services .name).env | default dict) }}
{{- with .root.Values.otel.endpoint }}
  {{- $own = merge $own (dict "OTEL_EXPORTER_OTLP_ENDPOINT" .) }}
{{- end }}
{{- toJson $own }}
{{- end }}

{{- /* The ports of the collectors that they name, whatever the signal, as a JSON list. */ -}}
{{- define "collector ports" -}}
{{- $own := include "own variables" . | fromJson }}
{{- $ports := list }}
{{- range list "ENDPOINT" "TRACES_ENDPOINT" "METRICS_ENDPOINT" }}
  {{- with get $own (printf "OTEL_EXPORTER_OTLP_%s" .) }}
    {{- $server := regexFind "^([a-z]+://)?[^/]+" . }}
    {{- $named := regexFind "[0-9]+$" (regexFind ":[0-9]+$" $server) }}
    {{- $ports = append $ports ($named | default (ternary "443" "80" (hasPrefix "https:" .)) | int) }}
  {{- end }}
{{- end }}
{{- toJson (uniq $ports) }}
{{- end }}
