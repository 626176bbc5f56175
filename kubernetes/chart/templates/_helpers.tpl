{{- /* An image by name, tag, and digest where there is one. */ -}}
{{- define "image" -}}
{{ .repository }}:{{ .tag }}{{ with .digest }}@{{ . }}{{ end }}
{{- end -}}

{{- /* What the ConfigMaps hold. */ -}}
{{- define "rest-config.data" -}}
rest_config.yaml: {{ .Files.Get "files/rest_config.yaml" | replace "http://minio.model-services.svc:" (printf "http://minio.%s.svc:" .Release.Namespace) | toJson }}
{{- end -}}
{{- define "model-parameters.data" -}}
MODEL_PARAMETERS_VERSION: {{ .Values.parameters.version | toJson }}
PARAMETERS_VERIFICATION_KEYS: {{ join "," .Values.parameters.verificationKeys | toJson }}
{{- end -}}
{{- define "storage-script.data" -}}
storage.py: {{ .Files.Get "files/storage.py" | toJson }}
{{- end -}}

{{- /*
Their names end with a digest of what they hold, made as kustomize makes it: a change rolls the pods, and the pods
before it keep theirs.
*/ -}}
{{- define "digested" -}}
{{- $digest := dict "kind" "ConfigMap" "name" "" "data" (fromYaml .data) | toJson | sha256sum | trunc 10 -}}
{{ .name }}-{{ $digest | replace "0" "g" | replace "1" "h" | replace "3" "k" | replace "a" "m" | replace "e" "t" }}
{{- end -}}
{{- define "rest-config" -}}
{{ include "digested" (dict "name" "rest-config" "data" (include "rest-config.data" .)) }}
{{- end -}}
{{- define "model-parameters" -}}
{{ include "digested" (dict "name" "model-parameters" "data" (include "model-parameters.data" .)) }}
{{- end -}}
{{- define "storage-script" -}}
{{ include "digested" (dict "name" "storage-script" "data" (include "storage-script.data" .)) }}
{{- end -}}
