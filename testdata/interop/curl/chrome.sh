#!/bin/sh
# Sends by GCM for Chrome, in both revisions, with the samples of their documentation byte for byte.
# Usage: chrome.sh HOST:PORT CA-FILE. Prints a line for each request: its name, the status and the body, without the
# access token. curl looks up Google's hosts at HOST:PORT, and checks the certificate for their names.
set -eu
server=$1 ca=$2
cd "$(dirname "$0")"

# request NAME URL [ARGUMENTS OF CURL...]
request() {
	name=$1 url=$2
	shift 2
	curl --silent --show-error --cacert "$ca" --connect-to "::$server" --write-out "\n$name %{http_code}" "$@" "$url"
}

# show prints the status and the body of an answer on one line.
show() { awk '{ lines[NR] = $0 } END { printf "%s ", lines[NR]; for (i = 1; i < NR; i++) printf "%s", lines[i]; print "" }'; }

form='Content-Type: application/x-www-form-urlencoded'
json='Content-Type: application/json'

answer=$(request token https://accounts.google.com/o/oauth2/token -H "$form" --data-binary @token.form)
token=$(printf '%s' "$answer" | sed -n 's/.*"access_token":"\([^"]*\)".*/\1/p')
printf '%s' "$answer" | sed 's/"access_token":"[^"]*"/"access_token":"TOKEN"/' | show

request first https://www.googleapis.com/chromewebstore/v1.1/notifications -H "$json" -H "Authorization: Bearer $token" --data-binary @first.txt | show
request final https://www.googleapis.com/gcm_for_chrome/v1/messages -H "$json" -H "Authorization: Bearer $token" --data-binary @final.json | show
request oauth-scheme https://www.googleapis.com/gcm_for_chrome/v1/messages -H "$json" -H "Authorization: OAuth $token" --data-binary @final.json | show
request token-in-query "https://www.googleapis.com/gcm_for_chrome/v1/messages?access_token=$token" -H "$json" --data-binary @final.json | show
channel=08144192009958038014/aaaaaaaaaabbbbbbbbbbcccccccccc
request all-in-query "https://www.googleapis.com/gcm_for_chrome/v1/messages?channelId=$channel&subchannelId=1&payload=call" -X POST -H "Authorization: Bearer $token" -H 'Content-Length: 0' | show
request bad-subchannel https://www.googleapis.com/gcm_for_chrome/v1/messages -H "$json" -H "Authorization: Bearer $token" \
	-d "{\"channelId\":\"$channel\",\"subchannelId\":\"4\",\"payload\":\"x\"}" | show
request misspelt https://accounts.google.com//o/auth2/auth -H "$form" --data-binary @token.form |
	sed 's/"access_token":"[^"]*"/"access_token":"TOKEN"/' | show
request revoke https://accounts.google.com/o/oauth2/revoke -d "token=$token" | show
request revoked https://www.googleapis.com/gcm_for_chrome/v1/messages -H "$json" -H "Authorization: Bearer $token" --data-binary @final.json | show
