// Command coredns is CoreDNS with the plugins that a cluster needs and no others: the stock binary
// compiles every cloud provider's client and takes three times as long.
package main

import (
	_ "github.com/coredns/coredns/plugin/bind"
	_ "github.com/coredns/coredns/plugin/cache"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/health"
	_ "github.com/coredns/coredns/plugin/kubernetes"
	_ "github.com/coredns/coredns/plugin/ready"
	_ "github.com/coredns/coredns/plugin/reload"
	_ "github.com/coredns/coredns/plugin/template"

	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/coremain"
)

// The order in which a query passes the plugins; the stock build generates it from plugin.cfg.
func init() {
	dnsserver.Directives = []string{
		"reload", "bind", "health", "ready", "errors", "cache", "kubernetes", "template",
	}
}

func main() {
	coremain.Run()
}
