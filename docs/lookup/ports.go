package main

import (
	"fmt"
	"strings"

	"bolwerk/internal/app"
)

// ports lists where each role listens.
func ports(string) (string, error) {
	c := app.Default()
	var b strings.Builder
	b.WriteString(`
# Ports

Where the roles listen when nothing is configured, which is where the demo
listens too (` + "`--port-offset N`" + ` adds N to each). A setting that is not loopback
opens the port to the network: see who is meant to reach it.

| role | what | transport | default | key | who reaches it |
|---|---|---|---|---|---|
`)
	for _, r := range []struct{ role, what, transport, standard, key, who string }{
		{"desk", "console, API", "HTTP", c.Console.Listen, "console.listen", "staff, through a proxy that has a certificate"},
		{"desk", "hand-in, copies", "TLS 1.3, both sides show a certificate", c.Hosts.Listen, "hosts.listen", "our edges and intakes"},
		{"desk", "RPZ primary", "DNS over UDP and TCP", c.RPZ.Listen, "rpz.listen", "resolvers of `[[rpz.secondary]]`"},
		{"desk", "RPZ primary over TLS", "TLS 1.3 (XoT, RFC 9103)", "none", "rpz.listen_tls", "resolvers of `[[rpz.secondary]]`"},
		{"desk", "admin socket", "Unix socket, mode 0600", "DATA/desk/admin.sock", "data", "who owns the folder"},
		{"desk", "profiles at a login", "HTTP; TLS with certificates on both sides where others reach it", "none", "abuse.enforce.listen", "AAA servers, with the token of `abuse.enforce.token_file`"},
		{"relay", "copies of edges", "TLS 1.3, both sides show a certificate", c.Hosts.Listen, "hosts.listen", "our edges (`hosts.relays` there)"},
		{"intake", "public site, report API", "HTTP", c.Public.Listen, "public.listen", "everybody, through a proxy that has a certificate"},
		{"intake", "reports by mail", "SMTP", c.SMTP.Listen, "smtp.listen", "everybody, or the operator's mail gateways"},
		{"intake", "what translators tell, syslog", "UDP", "none", "abuse.translations.syslog", "translators of `[[abuse.translations.translator]]`"},
		{"intake", "what translators tell, syslog", "TCP", "none", "abuse.translations.syslog_tcp", "translators of `[[abuse.translations.translator]]`"},
		{"intake", "what translators tell, syslog", "TLS", "none", "abuse.translations.syslog_tls", "translators of `[[abuse.translations.translator]]`"},
		{"intake", "what translators tell, IPFIX", "UDP", "none", "abuse.translations.ipfix", "translators of `[[abuse.translations.translator]]`"},
		{"intake", "RADIUS accounting", "UDP", "none; the demo 127.0.0.1:1813", "abuse.accounting.listen", "AAA servers of `[[abuse.accounting.client]]`"},
		{"edge", "DNS", "DNS over UDP and TCP", c.DNS.Listen, "dns.listen", "customers (`dns.allow`)"},
		{"edge", "DNS over TLS", "TLS", "none", "dns.listen_tls", "customers (`dns.allow`)"},
		{"edge", "DNS over HTTPS", "HTTP/2 and 1.1 over TLS", "none", "dns.listen_https", "customers (`dns.allow`)"},
		{"edge", "DNS over HTTPS, where `http3` is set", "HTTP/3, UDP", "none", "dns.listen_https", "customers (`dns.allow`)"},
		{"edge", "DNS over QUIC", "QUIC, UDP", "none", "dns.listen_quic", "customers (`dns.allow`)"},
		{"edge", "warning page", "HTTP", c.Warning.Listen, "warning.listen", "customers, at `warning.warning_addresses` port 80"},
		{"edge", "TLS door", "TLS, ends with an alert", c.Warning.TLS, "warning.listen_tls", "customers, at `warning.warning_addresses` port 443"},
		{"edge", "safe environment", "HTTP", "none; the demo 127.0.0.1:8084", "abuse.garden.listen", "lines in quarantine, at `abuse.garden.addresses` port 80"},
		{"edge", "safe environment", "TLS", "none", "abuse.garden.listen_tls", "the same, port 443"},
		{"each", "metrics, health, readiness of an edge", "HTTP", c.Metrics.Listen, "metrics.listen", "monitoring"},
	} {
		fmt.Fprintf(&b, "| %s | %s | %s | %s | `%s` | %s |\n", r.role, r.what, r.transport, r.standard, r.key, r.who)
	}
	b.WriteString(`
A probe listens nowhere but at its metrics.

The demo also answers as the invented world behind the edge at 127.0.0.1:5302
(DNS over UDP and TCP), and its probe goes out through a SOCKS5 proxy at
127.0.0.1:8083, behind which the invented web is. Its access server takes changes of
sessions at 127.0.0.1:3799 (UDP), and says at 127.0.0.1:3798 (HTTP) what is in force.
`)
	return b.String(), nil
}
