module k8s-starter.test/crds

go 1.26.0

// Only their files are used: `go get` updates them, `go mod tidy` would drop them.
require (
	github.com/external-secrets/external-secrets v1.3.2
	github.com/prometheus-operator/prometheus-operator v0.85.0
	sigs.k8s.io/gateway-api v1.6.3
)
