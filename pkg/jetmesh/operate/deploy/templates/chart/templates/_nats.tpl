{{- /* How pods reach the broker, and as whom: part of the settings file, variables, files. */ -}}

{{- /* The Secret with the authority, if connections are encrypted. */ -}}
{{- define "nats tls" -}}
{{- with .Values.nats.tls -}}
{{- .secret | default (ternary "nats-tls" "" (or .generate (ne .issuer.name ""))) -}}
{{- end }}
{{- end }}

{{- /* The keys of the Secret with passwords: everybody whom the bundled NATS knows, and its routes. */ -}}
{{- define "nats logins" -}}
{{- append (keys (include "facts" . | fromYaml).identities | sortAlpha) "routes" | toJson }}
{{- end }}

{{- /* Whether NATS runs as 0.2 made it: with the users `admin` and `services` alone. */ -}}
{{- define "nats of before" -}}
{{- $running := lookup "apps/v1" "StatefulSet" .Release.Namespace "nats" | default dict }}
{{- range dig "spec" "template" "spec" "containers" list $running }}
  {{- range .env }}{{ if eq .name "ADMIN_PASSWORD" }}true{{ end }}{{ end }}
{{- end }}
{{- end }}

{{- /* .root, .who: a service, or the operator; `admin`, who was it before. */ -}}
{{- define "nats settings" -}}
{{- $nats := .root.Values.nats -}}
url = {{ $nats.url | default "nats://nats:4222" | toJson }}
{{- if include "bundled" .root }}
user = {{ toJson .who }}
password_file = "/nats/identity/password"
{{- with get (include "facts" .root | fromYaml).identities .who }}
inbox_prefix = {{ toJson .inboxPrefix }}
{{- end }}
{{- else if eq $nats.credentials.kind "creds" }}
creds_file = "/nats/identity/creds"
{{- else if eq $nats.credentials.kind "nkey" }}
nkey_seed_file = "/nats/identity/nkey"
{{- end }}
{{- if include "nats tls" .root }}
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

{{- /* The same two. */ -}}
{{- define "nats secret" -}}
{{- $nats := .root.Values.nats }}
{{- if include "bundled" .root }}
  {{- $nats.existingSecret | default "nats" }}
{{- else if eq .who "operator" }}
  {{- $nats.credentials.adminSecret | default $nats.credentials.secret }}
{{- else }}
  {{- $nats.credentials.secret }}
{{- end }}
{{- end }}

{{- define "nats variables" -}}
{{- $secret := include "nats secret" . }}
{{- $kind := .root.Values.nats.credentials.kind }}
{{- if eq $kind "password" }}
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
{{- if or (include "bundled" .) (has .Values.nats.credentials.kind (list "creds" "nkey")) }}
- {name: identity, mountPath: /nats/identity, readOnly: true}
{{- end }}
{{- if include "nats tls" . }}
- {name: tls, mountPath: /nats/tls, readOnly: true}
{{- end }}
{{- end }}

{{- define "nats volumes" -}}
{{- $nats := .root.Values.nats }}
{{- if include "bundled" .root }}
- name: identity
  # one password of all; the file follows the Secret, and is read again at each attempt to connect
  secret: {secretName: {{ include "nats secret" . | quote }}, items: [{key: {{ .who }}, path: password}]}
{{- else if has $nats.credentials.kind (list "creds" "nkey") }}
- name: identity
  secret: {secretName: {{ include "nats secret" . | quote }}}
{{- end }}
{{- with include "nats tls" .root }}
- name: tls
  # of the bundled NATS the authority only: the key is for its nodes
  secret: {secretName: {{ . | quote }}{{ if include "bundled" $.root }}, items: [{key: ca.crt, path: ca.crt}]{{ end }}}
{{- end }}
{{- end }}
