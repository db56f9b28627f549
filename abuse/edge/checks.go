package edge

import (
	"net/http"
	"strings"

	"bolwerk"
)

// check is a question by which an operating system sees whether a page stands before the
// Internet: what it asks, and what says that none does. Anything else makes it show the
// page by itself.
type check struct {
	host, path string // path "": all
	status     int
	kind, body string
}

const ncsi, apple = "text/plain", "<HTML><HEAD><TITLE>Success</TITLE></HEAD><BODY>Success</BODY></HTML>"

// checks are those of the systems that people have. Names that serve anything else are
// left out: to answer them otherwise would break it.
//
// Android: NetworkMonitor of AOSP asks http://connectivitycheck.gstatic.com/generate_204;
// makers have names of their own. Apple: captive.apple.com. Windows: NCSI, active probe
// (learn.microsoft.com, "NCSI overview"). Firefox: network.captive-portal-service.
// NetworkManager: uri of its distributions.
var checks = []check{
	{"connectivitycheck.gstatic.com", "", http.StatusNoContent, "", ""},
	{"connectivitycheck.android.com", "", http.StatusNoContent, "", ""},
	{"connectivitycheck.grapheneos.network", "", http.StatusNoContent, "", ""},
	{"connectivitycheck.platform.hicloud.com", "", http.StatusNoContent, "", ""},
	{"connect.rom.miui.com", "", http.StatusNoContent, "", ""},
	{"captive.apple.com", "", http.StatusOK, "text/html", apple},
	{"www.msftconnecttest.com", "/connecttest.txt", http.StatusOK, ncsi, "Microsoft Connect Test"},
	{"ipv6.msftconnecttest.com", "/connecttest.txt", http.StatusOK, ncsi, "Microsoft Connect Test"},
	{"www.msftncsi.com", "/ncsi.txt", http.StatusOK, ncsi, "Microsoft NCSI"},
	{"detectportal.firefox.com", "/success.txt", http.StatusOK, "text/plain", "success\n"},
	{"detectportal.firefox.com", "", http.StatusOK, "text/html", `<meta http-equiv="refresh" content="0;url=https://support.mozilla.org/kb/captive-portal"/>`},
	{"nmcheck.gnome.org", "", http.StatusOK, "text/plain", "NetworkManager is online\n"},
	{"network-test.debian.org", "", http.StatusOK, "text/plain", "NetworkManager is online\n"},
	{"connectivity-check.ubuntu.com", "", http.StatusNoContent, "", ""},
	{"conncheck.opensuse.org", "", http.StatusOK, "text/plain", "NetworkManager is online\n"},
	{"ping.archlinux.org", "", http.StatusOK, "text/plain", "NetworkManager is online\n"},
}

// CheckNames are the names of all checks: edges answer guests the page's address.
func CheckNames() (out []bolwerk.Domain) {
	last := ""
	for _, c := range checks {
		if c.host != last {
			out, last = append(out, bolwerk.MustDomain(c.host)), c.host
		}
	}
	return out
}

// checked finds the check that a request is.
func checked(host, path string) (check, bool) {
	host, _, _ = strings.Cut(strings.ToLower(host), ":")
	for _, c := range checks {
		if c.host == strings.TrimSuffix(host, ".") && (c.path == "" || c.path == path) {
			return c, true
		}
	}
	return check{}, false
}

// pass answers that no page stands before the Internet.
func (c check) pass(w http.ResponseWriter) {
	w.Header().Set("Cache-Control", "no-store")
	if c.kind != "" {
		w.Header().Set("Content-Type", c.kind)
	}
	w.WriteHeader(c.status)
	if c.body != "" {
		w.Write([]byte(c.body)) // who asked may be gone: nobody to tell
	}
}
