//go:build tools

// Package tools names the command that is built from this module, so that `go mod tidy` keeps it.
package tools

import _ "github.com/envoyproxy/gateway/cmd/envoy-gateway"
