package gateway

import (
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/ipfs/boxo/gateway"
)

// labelSizeMax is the longest label of a domain name in bytes (RFC 1035).
const labelSizeMax = 63

// hosts knows under which names the gateway answers. A page on the web can make
// a browser send requests here by pointing its own domain at a loopback address
// (DNS rebinding), but it cannot choose the Host that the browser then sends.
type hosts struct {
	domains   map[string]bool // serve subdomains
	addresses map[string]bool // serve paths
	sites     map[string]bool // serve their DNSLink
	anySite   bool
}

func newHosts(names, sites []string) (*hosts, error) {
	h := &hosts{
		domains:   map[string]bool{"localhost": true},
		addresses: map[string]bool{"127.0.0.1": true, "::1": true},
		sites:     map[string]bool{},
		anySite:   slices.Contains(sites, "*"),
	}
	for _, name := range names {
		host := hostname(strings.ToLower(name))
		switch {
		case host == "" || strings.ContainsAny(host, "*/ "):
			return nil, fmt.Errorf("serve host %q: not a domain or an IP address", name)
		case net.ParseIP(host) != nil:
			h.addresses[host] = true
		default:
			h.domains[host] = true
		}
	}
	for _, name := range sites {
		if site := hostname(strings.ToLower(name)); site != "*" {
			h.sites[site] = true
		}
	}
	return h, nil
}

// gateways describes the hosts to boxo.
func (h *hosts) gateways() map[string]*gateway.PublicGateway {
	paths := []string{"/ipfs", "/ipns"}
	m := map[string]*gateway.PublicGateway{}
	for name := range h.domains {
		m[name] = &gateway.PublicGateway{
			Paths: paths, UseSubdomains: true, InlineDNSLink: true, DeserializedResponses: true,
			NoDNSLink: name == "localhost", // it has no DNS of its own
		}
	}
	for address := range h.addresses {
		g := &gateway.PublicGateway{Paths: paths, DeserializedResponses: true, NoDNSLink: true}
		m[address] = g
		if strings.Contains(address, ":") {
			m["["+address+"]"] = g // a Host without port keeps the brackets
		}
	}
	return m
}

// origin is what the Host of a request says about its answer.
type origin struct {
	shared  bool   // content has the same origin as all other content
	content bool   // every path, after prefix, is that of content
	prefix  string // "/ipfs/{cid}" under a subdomain, else empty
}

// admit tells whether the request is for this gateway, and for which part.
func (h *hosts) admit(r *http.Request) (origin, bool) {
	if lower := strings.ToLower(r.Host); lower != r.Host {
		if from, ok := h.match(lower); ok && from.shared {
			r.Host = lower // boxo compares it as it is; a CID in it would need its case
		}
	}
	from, ok := h.match(r.Host)
	// boxo believes this header, so it has to pass as well.
	if forwarded := r.Header.Get("X-Forwarded-Host"); ok && forwarded != "" {
		return h.match(forwarded)
	}
	return from, ok
}

func (h *hosts) match(host string) (origin, bool) {
	host = hostname(host)
	switch {
	case h.addresses[host]:
		return origin{shared: true, content: true}, true
	case h.domains[host]:
		return origin{shared: true}, true
	case h.sites[host]:
		return origin{}, true
	}
	if root, domain, ok := cutLast(host, ".ipfs."); ok && h.domains[domain] {
		// boxo refuses labels that are too long for DNS.
		return origin{content: len(root) <= labelSizeMax, prefix: "/ipfs/" + root}, true
	}
	if _, domain, ok := cutLast(host, ".ipns."); ok && h.domains[domain] {
		return origin{}, true
	}
	return origin{}, h.anySite && host != "" && net.ParseIP(host) == nil
}

func cutLast(s, separator string) (before, after string, ok bool) {
	if i := strings.LastIndex(s, separator); i > 0 {
		return s[:i], s[i+len(separator):], true
	}
	return s, "", false
}

// hostname strips port and brackets.
func hostname(hostport string) string {
	host := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		host = h
	}
	return strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
}
