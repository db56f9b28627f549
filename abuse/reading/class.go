package reading

import "strings"

// Class is a class of the Reference Security Incident Taxonomy, written
// taxonomy/type.
type Class string

// The classes that reports name.
const (
	Spam            Class = "abusive-content/spam"
	Harmful         Class = "abusive-content/harmful-speech"
	Violence        Class = "abusive-content/violence" // of children too
	Infected        Class = "malicious-code/infected-system"
	C2              Class = "malicious-code/c2-server"
	MalwareSite     Class = "malicious-code/malware-distribution"
	MalwareConfig   Class = "malicious-code/malware-configuration"
	Scanner         Class = "information-gathering/scanner"
	Sniffing        Class = "information-gathering/sniffing"
	SocialEng       Class = "information-gathering/social-engineering"
	Exploiting      Class = "intrusion-attempts/ids-alert"
	BruteForce      Class = "intrusion-attempts/brute-force"
	NewExploit      Class = "intrusion-attempts/exploit"
	PrivilegedAcc   Class = "intrusions/privileged-account-compromise"
	Account         Class = "intrusions/unprivileged-account-compromise"
	AppCompromise   Class = "intrusions/application-compromise"
	SysCompromise   Class = "intrusions/system-compromise"
	DoS             Class = "availability/dos"
	DDoS            Class = "availability/ddos"
	Misconfigured   Class = "availability/misconfiguration"
	DataLeak        Class = "information-content-security/data-leak"
	UnauthorisedUse Class = "fraud/unauthorised-use-of-resources"
	Copyright       Class = "fraud/copyright"
	Masquerade      Class = "fraud/masquerade"
	Phishing        Class = "fraud/phishing"
	WeakCrypto      Class = "vulnerable/weak-crypto"
	Amplifier       Class = "vulnerable/ddos-amplifier"
	OpenService     Class = "vulnerable/potentially-unwanted-accessible"
	Disclosing      Class = "vulnerable/information-disclosure"
	Vulnerable      Class = "vulnerable/vulnerable-system"
	Other           Class = "other/other"
	Undetermined    Class = "other/undetermined"
	Test            Class = "test/test"
)

// classes are all of them.
var classes = []Class{Spam, Harmful, Violence, Infected, C2, MalwareSite, MalwareConfig, Scanner, Sniffing, SocialEng, Exploiting, BruteForce, NewExploit,
	PrivilegedAcc, Account, AppCompromise, SysCompromise, DoS, DDoS, Misconfigured, DataLeak, UnauthorisedUse, Copyright, Masquerade, Phishing, WeakCrypto,
	Amplifier, OpenService, Disclosing, Vulnerable, Other, Undetermined, Test}

// classOf finds the class by its type, as other systems write it; "" where it
// is none.
func classOf(typ string) Class {
	typ = strings.ToLower(strings.ReplaceAll(strings.TrimSpace(typ), "_", "-"))
	if typ == "" {
		return ""
	}
	for _, c := range classes {
		if _, t, _ := strings.Cut(string(c), "/"); t == typ {
			return c
		}
	}
	return ""
}

func (c Class) role() Role {
	switch {
	case strings.HasPrefix(string(c), "vulnerable/"), c == Misconfigured, c == DataLeak:
		return Exposed
	}
	return Doer
}

// xarf is the category and type of XARF 4 that comes nearest.
// connection/infected_host is about crawlers: an infected line is a botnet's.
func (c Class) xarf() string {
	switch c {
	case Spam:
		return "messaging/spam"
	case Infected, C2:
		return "infrastructure/botnet"
	case MalwareSite, MalwareConfig:
		return "content/malware"
	case Scanner:
		return "connection/port_scan"
	case BruteForce:
		return "connection/login_attack"
	case Exploiting, NewExploit:
		return "connection/vulnerability_scan"
	case PrivilegedAcc, Account, AppCompromise, SysCompromise:
		return "infrastructure/compromised_server"
	case DoS, DDoS:
		return "connection/ddos"
	case Misconfigured:
		return "vulnerability/misconfiguration"
	case DataLeak:
		return "content/exposed_data"
	case Copyright:
		return "copyright/copyright"
	case Phishing:
		return "content/phishing"
	case Masquerade, UnauthorisedUse:
		return "content/fraud"
	case WeakCrypto, Vulnerable:
		return "vulnerability/cve"
	case Amplifier, OpenService, Disclosing:
		return "vulnerability/open_service"
	}
	return ""
}

// ofXARF is the class of a category and type of XARF 4.
func ofXARF(category, typ string) Class {
	switch category + "/" + typ {
	case "messaging/spam", "messaging/bulk_messaging":
		return Spam
	case "connection/ddos":
		return DDoS
	case "connection/infected_host", "connection/scraping":
		return UnauthorisedUse // bots that crawl, not bots of a botnet
	case "connection/login_attack":
		return BruteForce
	case "connection/port_scan", "connection/reconnaissance":
		return Scanner
	case "connection/sql_injection", "connection/vulnerability_scan":
		return Exploiting
	case "content/phishing", "content/suspicious_registration":
		return Phishing
	case "content/malware":
		return MalwareSite
	case "content/fraud":
		return Masquerade
	case "content/brand_infringement":
		return Masquerade
	case "content/csam", "content/csem":
		return Violence
	case "content/exposed_data":
		return DataLeak
	case "content/remote_compromise":
		return AppCompromise
	case "vulnerability/cve":
		return Vulnerable
	case "vulnerability/misconfiguration":
		return Misconfigured
	case "vulnerability/open_service":
		return OpenService
	case "infrastructure/botnet":
		return Infected
	case "infrastructure/compromised_server":
		return SysCompromise
	case "reputation/blocklist":
		return Other
	case "reputation/threat_intelligence":
		return Undetermined
	}
	if category == "copyright" {
		return Copyright
	}
	return Undetermined
}
