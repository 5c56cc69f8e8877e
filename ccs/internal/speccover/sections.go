package main

import "slices"

// section is a section of the protocol; the titles are ours.
type section struct {
	number  string
	title   string
	without string // why nothing names it, "" if something must
}

// sections are all that something has to name.
var sections = slices.Concat(appServerSections, deviceSections)

// appServerSections are those of CCS that say what a server of app servers does: 1 to 5, the decisions, the transcript.
var appServerSections = []section{
	{number: "1.1", title: "host names and ports", without: "which ports are opened is the operator's setting; what two listeners share has no test that names it"},
	{number: "1.2", title: "TLS"},
	{number: "1.3", title: "the client's stream header"},
	{number: "1.4", title: "the server's stream header"},
	{number: "1.5", title: "features before login"},
	{number: "1.6", title: "login"},
	{number: "1.7", title: "stream restart, bind, session"},
	{number: "1.8", title: "iq, presence and the rest after bind"},
	{number: "1.9", title: "keep-alive, dead peers"},
	{number: "1.10", title: "the end of a stream, stream errors"},
	{number: "1.11", title: "what real clients need"},

	{number: "2.1", title: "the stanza of a downstream message"},
	{number: "2.2", title: "kinds of message"},
	{number: "2.3", title: "fields"},
	{number: "2.4", title: "data"},
	{number: "2.5", title: "notification"},
	{number: "2.6", title: "limits"},

	{number: "3.1", title: "envelopes"},
	{number: "3.2", title: "ack"},
	{number: "3.3", title: "nack, stanza error"},
	{number: "3.4", title: "acks of the app server"},
	{number: "3.5", title: "delivery receipts"},
	{number: "3.6", title: "upstream messages"},
	{number: "3.7", title: "draining"},

	{number: "4.1", title: "downstream window"},
	{number: "4.2", title: "upstream window"},
	{number: "4.3", title: "resending, lost connections"},
	{number: "4.4", title: "several connections of a sender"},
	{number: "4.5", title: "number of connections, reconnects"},

	{number: "5.1", title: "lifetime"},
	{number: "5.2", title: "now or never"},
	{number: "5.3", title: "collapse keys"},
	{number: "5.4", title: "delay_while_idle"},
	{number: "5.5", title: "100 messages of a device that is away"},
	{number: "5.6", title: "canonical tokens"},
	{number: "5.7", title: "unregistered"},
	{number: "5.8", title: "whose token it is"},
	{number: "5.9", title: "what devices need", without: "the device's side, which has a specification and tests of its own (DEV)"},
	{number: "5.10", title: "rates"},
	{number: "5.11", title: "order and duplicates"},
	{number: "5.12", title: "groups of a user", without: "optional, and there are no groups yet"},

	{number: "9", title: "where sources disagree"},
	{number: "11", title: "the transcript"},
}
