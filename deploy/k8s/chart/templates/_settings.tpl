{{- /* The settings file of pods: the same tree that `jetmesh settings` shows. */ -}}

{{- /* A value as TOML: JSON but for tables. */ -}}
{{- define "toml" -}}
{{- if kindIs "map" . -}}
{ {{- range $index, $name := keys . | sortAlpha }}{{ if $index }},{{ end }} {{ toJson $name }} = {{ include "toml" (get $ $name) }}{{ end }} }
{{- else -}}
{{ toJson . }}
{{- end -}}
{{- end }}

{{- /* .root, .name: a service's own settings, with the sandbox's addresses and known pages. */ -}}
{{- define "own settings" -}}
{{- $values := .root.Values }}
{{- $service := get $values.services .name }}
{{- $fact := get (include "facts" .root | fromYaml).services .name }}
{{- $own := deepCopy ($service.settings | default dict) }}
{{- range $fact.outside }}
  {{- if get $own .required }}{{ continue }}{{ end }}
  {{- $own = omit $own .required }}
  {{- if $values.sandbox.enabled }}{{ $own = mergeOverwrite $own .instead }}{{ end }}
{{- end }}
{{- range $path, $_ := $fact.required }}
  {{- $names := splitList "." $path | rest }}
  {{- $table := $own }}
  {{- range initial $names }}{{ $table = get ($table | default dict) . }}{{ end }}
  {{- /* not set here, so that the variable of an existing Secret is all that counts */}}
  {{- if and $table (eq (get $table (last $names) | toString) "") }}{{ $_ := unset $table (last $names) }}{{ end }}
{{- end }}
{{- range $setting, $other := $fact.links }}
  {{- $ingress := dig $other "ingress" dict $values.services }}
  {{- if and $ingress.enabled (not (get $own $setting)) }}
    {{- $scheme := ternary "https" "http" (ne $ingress.tlsSecret "") }}
    {{- $_ := set $own $setting (printf "%s://%s" $scheme $ingress.host) }}
  {{- end }}
{{- end }}
{{- toJson $own }}
{{- end }}

{{- /* .root, .who: who reads it; .services, .streams: names of those that it is about. */ -}}
{{- define "settings" -}}
{{- $values := .root.Values -}}
{{- $names := (include "facts" .root | fromYaml).names -}}
provision = "verify"
grace = {{ toJson $values.grace }}
linger = {{ toJson $values.linger }}

[http]
host = "0.0.0.0"
health_port = 8081

[log]
level = {{ toJson $values.logLevel }}
format = "json"

[nats]
{{ include "nats settings" . }}
{{- range $name := .services }}
  {{- $service := get $values.services $name }}
  {{- with include "own settings" (dict "root" $.root "name" $name) | fromJson }}

[services.{{ $name }}.settings]
    {{- range $key, $value := . }}
{{ $key }} = {{ include "toml" $value }}
    {{- end }}
  {{- end }}
  {{- with $service.ingress }}
    {{- if .enabled }}

[services.{{ $name }}.http]
allowed_hosts = {{ list .host $name "localhost" "127.0.0.1" | toJson }}
    {{- end }}
  {{- end }}
  {{- range $handler, $policy := $service.handlers }}

[services.{{ $name }}.handlers.{{ $handler }}]
    {{- range $key, $value := $policy }}
{{ get $names $key }} = {{ include "toml" $value }}
    {{- end }}
  {{- end }}
{{- end }}
{{- range $name := .streams }}

[streams.{{ $name }}]
  {{- range $key, $value := get $values.streams $name | default dict }}
    {{- if and (eq $key "replicas") (not $value) }}{{ $value = include "copies" $.root | int }}{{ end }}
{{ get $names $key }} = {{ include "toml" $value }}
  {{- end }}
{{- end }}
{{- end }}
