package corpus

const (
	isSpam     = "abusive-content/spam"
	isInfected = "malicious-code/infected-system"
	isMalware  = "malicious-code/malware-distribution"
	isPhishing = "fraud/phishing"
	isScanner  = "information-gathering/scanner"
	isBrute    = "intrusion-attempts/brute-force"
	isForged   = "fraud/masquerade"
	isDefaced  = "intrusions/application-compromise"
	isOther    = "other/other"
)

type letter struct {
	path   string
	events []said
}

// letters are the samples that a person has read: what each says, times brought
// to UTC by hand.
var letters = []struct {
	name  string
	files []letter
}{
	{"ARF and feedback loops", []letter{
		{"arf/AOL_example_1.eml", []said{{isSpam, "10.17.18.1", "2016-01-19T19:32:40Z", 0}}}, // 14:32:40 -0500
		{"arf/Bluetie_example_1.eml", []said{{isSpam, "10.17.18.3", "2016-01-16T06:10:14Z", 0}}},
		{"arf/Comcast_example_1.eml", []said{{isSpam, "10.17.18.5", "2016-01-19T12:42:56Z", 0}}},
		{"arf/Cox_example_1.eml", []said{{isSpam, "10.17.18.7", "2015-12-21T22:52:30Z", 0}}},
		{"arf/Fastmail_example_1.eml", []said{{isSpam, "10.17.18.9", "2016-01-16T11:09:22Z", 0}}},
		{"arf/OpenSRS_example_1.eml", []said{{isSpam, "10.17.18.12", "2016-01-17T06:57:49Z", 0}}},
		{"arf/Rackspace_example_1.eml", []said{{isSpam, "10.17.18.14", "2015-12-29T05:21:10Z", 0}}},
		{"arf/RoadRunner_example_1.eml", []said{{isSpam, "10.17.18.16", "2016-01-13T16:41:53Z", 0}}},
		{"arf/Synacor_example_1.eml", []said{{isSpam, "10.17.18.21", "2016-01-10T21:56:23Z", 0}}},
		{"arf/USANet_example_1.eml", []said{{isSpam, "10.17.18.23", "2015-10-14T06:59:38Z", 0}}},
		{"arf/Yahoo_example_1.eml", []said{{isSpam, "10.17.18.25", "2016-01-18T23:57:24Z", 0}}},
		{"arf/Zoho_example_1.eml", []said{{isSpam, "10.17.18.28", "2015-09-07T15:58:04Z", 0}}}, // 08:58:04 -0700
		{"arf/sisimai_arf-01.eml", []said{{isSpam, "192.0.2.89", "2009-04-29T00:00:00Z", 0}}},  // -0000 (EST): RFC 5322 has it as UTC
		{"arf/sisimai_arf-11.eml", []said{{isSpam, "192.0.2.2", "2006-04-09T14:34:45Z", 0}}},   // no fields; the text: 23:34:45 JST
		{"arf/sisimai_arf-14.eml", []said{{isSpam, "192.0.2.2", "2017-04-29T23:34:45Z", 0}}},   // no Source-IP; the reporter's Received
		{"arf/sisimai_arf-16.eml", []said{{isSpam, "192.0.2.1", "2015-04-29T23:34:45Z", 0}}},
		{"arf/sisimai_arf-18.eml", []said{{isForged, "192.0.2.222", "2015-04-29T23:34:45Z", 0}}},
		{"arf/sisimai_arf-20.eml", []said{{isForged, "203.0.113.2", "2015-04-29T23:34:45Z", 0}}},
		{"arf/sisimai_arf-22.eml", []said{{isSpam, "192.0.2.222", "2016-04-29T23:34:45Z", 0}}}, // the subject names it
		{"arf/sisimai_arf-24.eml", []said{{isSpam, "192.0.2.222", "2016-04-29T23:34:45Z", 0}}},
		{"arf/sisimai_arf-26.eml", nil}, // a request to leave a list: for a person
	}},
	{"X-ARF: blocklist.de", []letter{
		{"abuseio/blocklistde/Blocklistde_Example_1.eml", []said{{isSpam, "10.0.2.150", "2014-01-31T06:19:02Z", 0}}}, // 07:19:02 +0100; 80 is the port attacked
	}},
	{"X-ARF: clean-mx", []letter{
		{"abuseio/cleanmx/Cleanmx_Example_1.eml", []said{{isScanner, "192.168.2.20", "2015-06-07T19:09:11Z", 0}}}, // 21:09:11 +0200
		{"abuseio/cleanmx/Cleanmx_Example_3.eml", []said{{isScanner, "fdf1:cb9d:f59e:19b0:45ff::1", "2015-06-07T19:09:11Z", 0}}},
	}},
	{"X-ARF: netcraft", []letter{
		{"abuseio/netcraft/Netcraft_Example_1.eml", []said{{isMalware, "10.0.2.2", "2015-07-23T01:58:17Z", 80}}},
		{"abuseio/netcraft/Netcraft_Example_3.eml", []said{{isPhishing, "10.0.2.11", "2015-10-12T06:40:56Z", 80}}},
		{"abuseio/netcraft/Netcraft_Example_6.eml", []said{{isPhishing, "10.19.3.1", "2015-10-26T11:27:58Z", 80}}},
		{"abuseio/netcraft/Netcraft_Example_9.eml", []said{{isPhishing, "10.2.2.15", "2015-10-02T18:16:57Z", 80}}},
	}},
	{"webiron", []letter{
		// In X-ARF parts; 17:03:11 -0700.
		{"abuseio/webiron/Webiron_Example_1.eml", []said{{"intrusion-attempts/ids-alert", "172.16.31.20", "2015-05-16T00:03:11Z", 0}, {"intrusion-attempts/ids-alert", "172.16.31.20", "2015-05-16T00:03:11Z", 0}}},
		// In the text: "botnets"; 22:14:33 -0700.
		{"abuseio/webiron/Webiron_Example_3.eml", []said{{isInfected, "fdf1:cb9d:f59e:19b0:0:3:4:2", "2015-09-26T05:14:33Z", 0}}},
	}},
	{"abusehub", []letter{
		{"abuseio/abusehub/Abusehub_Example_1.eml", []said{{isInfected, "172.16.10.13", "2015-03-02T00:45:59Z", 2005}}}, // 01:45:59 +01:00
	}},
	{"cyscon", []letter{
		{"abuseio/cyscon/Cyscon_Example_1.eml", []said{{isMalware, "172.16.10.13", "2015-09-23T02:04:18Z", 80}}}, // 04:04:18 +0200
	}},
	{"Google Safe Browsing", []letter{
		{"abuseio/google/Safe_Browsing_Report_1.eml", []said{ // names a day
			{isMalware, "10.0.2.23", "2015-01-01T00:00:00Z", 80}, {isMalware, "10.0.2.23", "2015-01-01T00:00:00Z", 80}, {isMalware, "10.0.2.23", "2015-01-01T00:00:00Z", 80},
			{isPhishing, "10.0.2.26", "2015-01-01T00:00:00Z", 2222}, {isPhishing, "10.0.2.26", "2015-01-01T00:00:00Z", 2222},
		}},
	}},
	{"Project Honey Pot", []letter{
		{"abuseio/projecthoneypot/Projecthoneypot_Example_free_1.eml", []said{ // only the report's time: 02:45:10 -0400
			{isScanner, "10.0.2.1", "2015-10-04T06:45:10Z", 0}, {isScanner, "10.0.2.2", "2015-10-04T06:45:10Z", 0}, {isScanner, "10.0.2.3", "2015-10-04T06:45:10Z", 0},
			{isSpam, "10.0.2.4", "2015-10-04T06:45:10Z", 0}, {isSpam, "10.0.2.5", "2015-10-04T06:45:10Z", 0},
		}},
		{"abuseio/projecthoneypot/Projecthoneypot_Example_paid_1.eml", []said{ // PDT is seven hours behind
			{isScanner, "192.168.1.19", "2015-09-21T18:00:00Z", 0}, {isSpam, "192.168.1.21", "2015-09-21T17:00:00Z", 0}, {isSpam, "192.168.1.21", "2015-09-21T13:12:00Z", 0},
			{isSpam, "192.168.1.22", "2015-09-21T18:00:00Z", 0}, {isSpam, "192.168.1.23", "2015-09-21T17:00:00Z", 0}, {"other/undetermined", "192.168.1.23", "2015-09-21T07:00:00Z", 0},
		}},
	}},
	{"Spamhaus", []letter{
		{"intelmq_feeds/spamhaus/cert.txt", []said{ // seconds since 1970
			{isInfected, "109.126.64.2", "2015-08-31T08:16:10Z", 0}, {isInfected, "109.90.233.19", "2015-08-31T08:05:51Z", 1036}, {isInfected, "109.91.0.227", "2015-08-31T09:00:57Z", 1430},
			{isInfected, "111.111.111.183", "2016-08-13T17:58:59Z", 0}, {isBrute, "198.51.100.54", "2018-03-03T13:41:36Z", 0}, {"vulnerable/potentially-unwanted-accessible", "198.51.100.54", "2018-03-03T13:41:36Z", 0},
			{isBrute, "245.16.92.48", "2018-03-20T13:29:12Z", 0}, {isBrute, "245.16.92.48", "2018-03-20T13:29:12Z", 0}, {isScanner, "172.20.148.81", "2018-03-17T13:00:32Z", 0},
			{isBrute, "172.20.148.81", "2018-03-17T13:00:32Z", 0}, {isInfected, "109.91.0.227", "2015-08-31T09:00:57Z", 1430}, {isSpam, "192.168.46.8", "2018-04-08T13:05:08Z", 1660},
			{isBrute, "198.51.100.54", "2018-05-31T09:40:54Z", 0}, {isBrute, "10.56.59.94", "2018-06-10T19:22:42Z", 64954}, {isScanner, "10.56.59.94", "2018-05-26T05:59:11Z", 40625},
			{isScanner, "10.56.59.94", "2017-09-29T14:48:17Z", 57090}, {isBrute, "203.0.113.81", "2018-07-05T11:25:32Z", 0}, {isSpam, "172.20.148.82", "2019-04-23T06:38:02Z", 0},
			{isInfected, "172.20.148.82", "2019-10-13T08:39:35Z", 0},
		}},
		{"intelmq_feeds/spamhaus/drop.txt", []said{{isOther, "1.4.0.0/17", "2015-09-14T04:39:22Z", 0}, {isOther, "2a06:e480::/29", "2015-09-14T04:39:22Z", 0}}},
		{"intelmq_feeds/spamhaus/asndrop.txt", []said{{isOther, "AS260", "2015-09-14T04:39:22Z", 0}, {isOther, "AS10516", "2015-09-14T04:39:22Z", 0}}},
	}},
	{"Microsoft", []letter{
		{"intelmq_feeds/microsoft/bingmurls.json", []said{{isMalware, "127.5.9.48", "2018-05-28T07:00:00Z", 80}, {isMalware, "198.51.48.124", "2018-05-28T07:00:00Z", 80}}},
		{"intelmq_feeds/microsoft/ctip.txt", []said{
			{isInfected, "224.0.5.8", "2018-02-06T09:37:02Z", 1204}, {isInfected, "10.0.0.5", "2018-02-06T09:38:46Z", 25310}, {isInfected, "19.168.46.126", "2018-02-06T09:40:19Z", 49970},
			{isInfected, "198.51.100.100", "2018-02-06T09:43:19Z", 42996}, {isInfected, "224.34.234.52", "2019-03-17T09:05:50Z", 55522},
		}},
		{"intelmq_feeds/microsoft/ctip_azure.txt", []said{ // the last one's two times are days apart: its number counts
			{isInfected, "224.0.5.8", "2020-05-24T22:45:28Z", 65116}, {isInfected, "224.0.5.8", "2020-05-24T22:47:43Z", 49296}, {isInfected, "224.0.5.8", "2021-04-07T10:59:32Z", 33587},
			{isInfected, "224.0.5.8", "2021-05-10T15:47:42Z", 28285}, {isInfected, "224.0.5.8", "2021-05-10T15:47:42Z", 28285}, {isInfected, "10.0.0.15", "2022-06-06T16:59:01Z", 10000},
		}},
	}},
	{"AnubisNetworks", []letter{
		{"intelmq_feeds/anubisnetworks/example_report.json", []said{{isInfected, "203.0.113.2", "2017-01-10T09:45:30Z", 0}}},
		{"intelmq_feeds/anubisnetworks/example_report2.json", []said{{isInfected, "190.124.67.211", "2016-04-19T23:15:54Z", 52888}}},
		{"intelmq_feeds/anubisnetworks/example_report3.json", []said{{isInfected, "203.0.113.2", "2020-04-07T09:45:14Z", 59645}}},
		{"intelmq_feeds/anubisnetworks/example_report_dns.json", []said{{isInfected, "203.0.113.2", "2020-04-08T04:25:17Z", 11138}}},
		{"intelmq_feeds/anubisnetworks/example_report_ignore.json", []said{{"test/test", "10.0.0.1", "2020-06-26T09:33:41Z", 1}}},
		{"intelmq_feeds/anubisnetworks/example_comm_http_host_not_dst_ip.json", []said{{isInfected, "10.0.0.1", "2020-08-21T04:33:10Z", 58077}}},
	}},
	{"MISP", []letter{
		{"intelmq_feeds/misp/misp_attribute.json", []said{{isMalware, "http://fake.example.com/malware/is/here", "2016-06-11T21:41:44Z", 80}}},
		{"intelmq_feeds/misp/misp_event.json", []said{{isMalware, "http://fake.example.com/malware/is/here", "2016-06-11T21:41:44Z", 80}}},
	}},
	{"zone-h", []letter{ // no zone is written
		{"intelmq_feeds/zoneh/defacement_accepted.csv", []said{{isDefaced, "203.0.113.1", "2016-01-01T11:56:00Z", 80}, {isDefaced, "203.0.113.2", "2017-06-11T09:00:00Z", 80}}},
		{"intelmq_feeds/zoneh/defacement_accepted_RECONSTRUCTED.csv", []said{{isDefaced, "203.0.113.1", "2016-01-01T11:56:00Z", 80}}},
		{"intelmq_feeds/zoneh/defacement_pending.csv", []said{{isDefaced, "1.1.1.1", "2017-06-13T08:12:48Z", 443}}},
	}},
}
