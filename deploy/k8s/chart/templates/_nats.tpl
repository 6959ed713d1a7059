{{- /* How pods reach the broker, and as whom: part of the settings file, variables, files. */ -}}

{{- /* The Secret with the authority, if connections are encrypted. */ -}}
{{- define "nats tls" -}}
{{- with .Values.nats.tls -}}
{{- .secret | default (ternary "nats-tls" "" (or .generate (ne .issuer.name ""))) -}}
{{- end }}
{{- end }}

{{- define "nats settings" -}}
{{- $nats := .Values.nats -}}
url = {{ $nats.url | default "nats://nats:4222" | toJson }}
{{- if eq $nats.credentials.kind "creds" }}
creds_file = "/nats/identity/creds"
{{- else if eq $nats.credentials.kind "nkey" }}
nkey_seed_file = "/nats/identity/nkey"
{{- end }}
{{- if include "nats tls" . }}
tls_ca_file = "/nats/tls/ca.crt"
  {{- if $nats.tls.client }}
tls_cert_file = "/nats/tls/tls.crt"
tls_key_file = "/nats/tls/tls.key"
  {{- end }}
{{- end }}
{{- if $nats.tls.first }}
tls_first = true
{{- end }}
{{- if $nats.ignoreDiscoveredServers }}
ignore_discovered_servers = true
{{- end }}
{{- with $nats.jsDomain }}
js_domain = {{ . | toJson }}
{{- end }}
{{- with $nats.jsApiPrefix }}
js_api_prefix = {{ . | toJson }}
{{- end }}
{{- end }}

{{- /* .root, .who: services or admin. */ -}}
{{- define "nats secret" -}}
{{- $nats := .root.Values.nats }}
{{- if include "bundled" .root }}
  {{- $nats.existingSecret | default "nats" }}
{{- else if eq .who "admin" }}
  {{- $nats.credentials.adminSecret | default $nats.credentials.secret }}
{{- else }}
  {{- $nats.credentials.secret }}
{{- end }}
{{- end }}

{{- define "nats variables" -}}
{{- $secret := include "nats secret" . }}
{{- $kind := .root.Values.nats.credentials.kind }}
{{- if include "bundled" .root }}
- name: JETMESH__NATS__USER
  value: {{ .who }}
- name: JETMESH__NATS__PASSWORD
  valueFrom: {secretKeyRef: {name: {{ $secret | quote }}, key: {{ .who }}}}
{{- else if eq $kind "password" }}
- name: JETMESH__NATS__USER
  valueFrom: {secretKeyRef: {name: {{ $secret | quote }}, key: user}}
- name: JETMESH__NATS__PASSWORD
  valueFrom: {secretKeyRef: {name: {{ $secret | quote }}, key: password}}
{{- else if eq $kind "token" }}
- name: JETMESH__NATS__TOKEN
  valueFrom: {secretKeyRef: {name: {{ $secret | quote }}, key: token}}
{{- end }}
{{- end }}

{{- define "nats mounts" -}}
{{- if has .Values.nats.credentials.kind (list "creds" "nkey") }}
- {name: identity, mountPath: /nats/identity, readOnly: true}
{{- end }}
{{- if include "nats tls" . }}
- {name: tls, mountPath: /nats/tls, readOnly: true}
{{- end }}
{{- end }}

{{- define "nats volumes" -}}
{{- $nats := .root.Values.nats }}
{{- if has $nats.credentials.kind (list "creds" "nkey") }}
- name: identity
  secret: {secretName: {{ include "nats secret" . | quote }}}
{{- end }}
{{- with include "nats tls" .root }}
- name: tls
  # of the bundled NATS the authority only: the key is for its nodes
  secret: {secretName: {{ . | quote }}{{ if include "bundled" $.root }}, items: [{key: ca.crt, path: ca.crt}]{{ end }}}
{{- end }}
{{- end }}
