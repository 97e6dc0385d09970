//go:build tools

// Keeps the program in go.mod, which pins everything it is made of.
package tools

import _ "github.com/versity/versitygw/cmd/versitygw"
