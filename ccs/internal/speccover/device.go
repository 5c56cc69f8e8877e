package main

// deviceSections are those of DEV that say what a server of devices does.
var deviceSections = []section{
	{number: "DEV 2.1", title: "check-in over HTTP"},
	{number: "DEV 2.2", title: "what a device says at check-in"},
	{number: "DEV 2.3", title: "what it is answered"},
	{number: "DEV 2.4", title: "who keeps which identity"},
	{number: "DEV 2.5", title: "settings and their digest"},

	{number: "DEV 3.1", title: "registration over HTTP"},
	{number: "DEV 3.2", title: "its fields"},
	{number: "DEV 3.3", title: "its variants"},
	{number: "DEV 3.4", title: "its errors"},
	{number: "DEV 3.5", title: "which token is given"},

	{number: "DEV 4", title: "frames"},
	{number: "DEV 5", title: "messages in frames"},
	{number: "DEV 6", title: "login"},
	{number: "DEV 7.1", title: "counting of frames"},
	{number: "DEV 7.2", title: "acknowledgement by devices"},
	{number: "DEV 7.3", title: "acknowledgement by the server"},
	{number: "DEV 7.4", title: "the conversation that was watched"},
	{number: "DEV 8", title: "heartbeats"},
	{number: "DEV 9.1", title: "the stanza of a message"},
	{number: "DEV 9.2", title: "which app gets it"},
	{number: "DEV 9.3", title: "special messages"},
	{number: "DEV 9.4", title: "system messages"},
	{number: "DEV 9.5", title: "Web Push"},
	{number: "DEV 10", title: "upstream messages"},
	{number: "DEV 11", title: "losing a connection, reconnecting"},
	{number: "DEV 12", title: "calls of the Firebase era"},
	{number: "DEV 13", title: "what each client does"},
	{number: "DEV 14", title: "the checklist"},
}
