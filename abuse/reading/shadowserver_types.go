package reading

// feedType is what one report type of Shadowserver says.
type feedType struct {
	name  string // as in the file's name, scan_dns; older names behind it
	class Class
	basis Basis
	proto string // transport where the row names none
	app   string
}

// feedTypes are the report types, by what the Shadowserver Foundation publishes
// about each. event6_ and scan6_ mean the same as event4_ and scan_. Where a
// service is reachable the class is that of RSIT's own examples: Redis discloses,
// a resolver amplifies, RDP is unwanted.
var feedTypes = []feedType{
	// Seen doing something.
	{"botnet_drone botnet_drone_hadoop drone_report", Infected, Contact, "", ""},
	{"event4_sinkhole", Infected, Sinkhole, "", ""},
	{"event4_sinkhole_http sinkhole_http_drone ipv6_sinkhole_http_drone event4_sinkhole_http_referer", Infected, Sinkhole, "tcp", "http"},
	{"event4_sinkhole_dns scan_sinkholedns", Infected, UDP, "udp", "dns"},
	{"microsoft_sinkhole event4_microsoft_sinkhole", Infected, Contact, "", ""},
	{"event4_microsoft_sinkhole_http", Infected, Sinkhole, "tcp", "http"},
	{"event4_honeypot_brute_force drone_brute_force", BruteForce, Handshake, "tcp", ""},
	{"event4_honeypot_darknet darknet", Scanner, SYN, "", ""},
	{"event4_honeypot_http_scan", Scanner, Handshake, "tcp", "http"},
	{"event4_honeypot_ics_scan hp_ics_scan", Scanner, Handshake, "tcp", ""},
	{"event4_honeypot_smb_scan event4_honeypot_rdp_scan", Scanner, Handshake, "tcp", ""},
	{"event4_honeypot_adb_scan", Scanner, Handshake, "tcp", "adb"},
	{"event4_ddos_participant", DDoS, Claim, "", ""},
	{"event4_ip_spoofer", DDoS, Answered, "", ""},
	// Attacked: the source is the address that was forged.
	{"event4_honeypot_ddos_amp honeypot_ddos_amp ddos_amplification", DDoS, UDP, "udp", ""},
	{"event4_honeypot_ddos_target event4_honeypot_ddos", DDoS, Claim, "", ""},
	// Found on a server.
	{"compromised_website", SysCompromise, Content, "tcp", "http"},
	{"special", SysCompromise, Answered, "", ""},
	{"malware_url", MalwareSite, Content, "tcp", "http"},
	{"phish_url", Phishing, Content, "tcp", "http"},
	{"blocklist", Other, Claim, "", ""},
	// What programs under examination spoke with: no fault of the address.
	{"sandbox_conn", Undetermined, Claim, "", ""},
	{"sandbox_url", Undetermined, Claim, "tcp", "http"},
	{"sandbox_dns", Undetermined, Claim, "udp", "dns"},
	// Described.
	{"device_id", Undetermined, Answered, "", ""},
	{"outdated_dnssec_key", Misconfigured, UDP, "udp", "dns"},

	{"scan_dns dns_open_resolvers dns_openresolver", Amplifier, Answered, "udp", "dns"},
	{"scan_chargen open_chargen", Amplifier, Answered, "udp", "chargen"},
	{"scan_qotd open_qotd", Amplifier, Answered, "udp", "qotd"},
	{"scan_snmp open_snmp", Amplifier, Answered, "udp", "snmp"},
	{"scan_ntp ntp_version", Amplifier, Answered, "udp", "ntp"},
	{"scan_ntpmonitor ntp_monitor", Amplifier, Answered, "udp", "ntp"},
	{"scan_ssdp open_ssdp", Amplifier, Answered, "udp", "ssdp"},
	{"scan_portmapper open_portmapper", Amplifier, Answered, "udp", "portmapper"},
	{"scan_mdns open_mdns", Amplifier, Answered, "udp", "mdns"},
	{"scan_netbios open_netbios_nameservice", Amplifier, Answered, "udp", "netbios"},
	{"scan_mssql", Amplifier, Answered, "udp", "mssql"},
	{"scan_tftp", Amplifier, Answered, "udp", "tftp"},
	{"scan_ldap_udp scan_ldap", Amplifier, Answered, "udp", "ldap"},
	{"scan_memcached open_memcached", Amplifier, Answered, "udp", "memcached"},
	{"scan_coap", Amplifier, Answered, "udp", "coap"},
	{"scan_ard", Amplifier, Answered, "udp", "ard"},
	{"scan_rdpeudp", Amplifier, Answered, "udp", "rdpeudp"},
	{"scan_stun", Amplifier, Answered, "udp", "stun"},
	{"scan_xdmcp", Amplifier, Answered, "udp", "xdmcp"},
	{"scan_db2 open_db2", Amplifier, Answered, "udp", "db2"},
	{"scan_ubiquiti", Amplifier, Answered, "udp", "ubiquiti"},
	{"scan_ws_discovery", Amplifier, Answered, "udp", "ws-discovery"},
	{"scan_dvr_dhcpdiscover", Amplifier, Answered, "udp", "dhcpdiscover"},
	{"scan_slp", Amplifier, Answered, "", "slp"},
	{"scan_ddos_middlebox", Amplifier, Answered, "tcp", "http"},
	{"scan_sip", Amplifier, Answered, "udp", "sip"},

	{"scan_redis open_redis", Disclosing, Answered, "tcp", "redis"},
	{"scan_mongodb open_mongodb", Disclosing, Answered, "tcp", "mongodb"},
	{"scan_elasticsearch", Disclosing, Answered, "tcp", "elasticsearch"},
	{"scan_couchdb", Disclosing, Answered, "tcp", "couchdb"},
	{"scan_hadoop", Disclosing, Answered, "tcp", "hadoop"},
	{"scan_rsync accessible_rsync", Disclosing, Answered, "tcp", "rsync"},
	{"scan_mqtt_anon", Disclosing, Answered, "tcp", "mqtt"},
	{"scan_ldap_tcp", Disclosing, Answered, "tcp", "ldap"},
	{"scan_cassandra", Disclosing, Answered, "tcp", "cassandra"},

	{"scan_adb", OpenService, Answered, "tcp", "adb"},
	{"scan_afp", OpenService, Answered, "tcp", "afp"},
	{"scan_amqp", OpenService, Answered, "tcp", "amqp"},
	{"scan_cwmp", OpenService, Answered, "tcp", "cwmp"},
	{"scan_ftp", OpenService, Answered, "tcp", "ftp"},
	{"scan_http", OpenService, Answered, "tcp", "http"},
	{"scan_http_proxy", OpenService, Answered, "tcp", "http-proxy"},
	{"scan_ipmi open_ipmi", OpenService, Answered, "udp", "ipmi"},
	{"scan_ipp", OpenService, Answered, "tcp", "ipp"},
	{"scan_kubernetes", OpenService, Answered, "tcp", "kubernetes"},
	{"scan_docker", OpenService, Answered, "tcp", "docker"},
	{"scan_mqtt", OpenService, Answered, "tcp", "mqtt"},
	{"scan_mysql", OpenService, Answered, "tcp", "mysql"},
	{"scan_postgres", OpenService, Answered, "tcp", "postgresql"},
	{"scan_quic", OpenService, Answered, "udp", "quic"},
	{"scan_radmin", OpenService, Answered, "tcp", "radmin"},
	{"scan_rdp", OpenService, Answered, "tcp", "rdp"},
	{"scan_smb", OpenService, Answered, "tcp", "smb"},
	{"scan_socks", OpenService, Answered, "tcp", "socks"},
	{"scan_ssh", OpenService, Answered, "tcp", "ssh"},
	{"scan_telnet", OpenService, Answered, "tcp", "telnet"},
	{"scan_vnc", OpenService, Answered, "tcp", "vnc"},
	{"scan_bgp", OpenService, Answered, "tcp", "bgp"},
	{"scan_epmd", OpenService, Answered, "tcp", "epmd"},
	{"scan_ics", OpenService, Answered, "tcp", "ics"},

	{"scan_exchange", Vulnerable, Answered, "tcp", "https"},
	{"scan_http_vulnerable", Vulnerable, Answered, "tcp", "http"},
	{"scan_smtp_vulnerable", Vulnerable, Answered, "tcp", "smtp"},
	{"scan_log4shell_vulnerable", Vulnerable, Answered, "tcp", "http"},
	{"scan_isakmp", Vulnerable, Answered, "udp", "isakmp"},
	{"scan_nat_pmp vulnerable_nat_pmp_systems", Vulnerable, Answered, "udp", "nat-pmp"},
	{"scan_netis_router netis_router", Vulnerable, Answered, "udp", "netis"},
	{"scan_synful", Vulnerable, Answered, "tcp", ""},
	{"scan_cisco_smart_install", Vulnerable, Answered, "tcp", "smart-install"},

	{"scan_ssl_poodle sslv3_poodle", WeakCrypto, Answered, "tcp", "tls"},
	{"scan_ssl_freak", WeakCrypto, Answered, "tcp", "tls"},
}
