#!/bin/sh
# An app server on curl: a message as JSON, a multicast in gzip over HTTP/2, a form, a wrong key, and a message that the
# server cannot take at first, sent again by curl itself. The larger body asks first (Expect: 100-continue).
set -eu
while [ $# -gt 0 ]; do
	case $1 in
	--url) url=$2 ;; --ca) ca=$2 ;; --key) key=$2 ;; --token) token=$2 ;;
	esac
	shift 2
done

post() { # key, path, arguments of curl
	auth=$1 path=$2
	shift 2
	curl -sS --cacert "$ca" -H "Authorization: key=$auth" "$@" "$url$path"
}
json='Content-Type: application/json'

single=$(post "$key" /gcm/send -H "$json" -d "{\"to\":\"$token\",\"data\":{\"id\":\"single\"}}" | grep -o '"success":1' | wc -l)
list=$(i=0; while [ $i -lt 999 ]; do printf '"%s",' "$token"; i=$((i + 1)); done)
multicast=$(printf '{"registration_ids":[%s"nobody"],"data":{"id":"multicast"}}' "$list" | gzip |
	post "$key" /fcm/send --http2 -H "$json" -H 'Content-Encoding: gzip' -H 'Expect: 100-continue' --data-binary @-)
form=$(post "$key" /gcm/send --http1.1 --data-urlencode "registration_id=$token" -d data.id=form | grep -c '^id=0:')
topic=$(post "$key" /gcm/send -H "$json" -d '{"to":"/topics/news","data":{"id":"topic"}}' | grep -cE '^\{"message_id":[0-9]+\}$' || true)
refused=$(post wrong /gcm/send -H "$json" -d "{\"to\":\"$token\"}" -o /dev/null -w '%{http_code}')
retried=$(post "$key" /gcm/send --retry 3 -H "$json" -d "{\"to\":\"$token\",\"data\":{\"id\":\"fail-once\"}}" | grep -o '"success":1' | wc -l)

number() { printf '%s' "$multicast" | sed -n "s/.*\"$1\":\([0-9]*\).*/\1/p"; }
word() { printf '%s' "$multicast" | sed -n 's/.*"error":"\([A-Za-z]*\)".*/\1/p'; }
printf '{"client":"curl","version":"%s","single":%d,"multicast":%d,"bogus":"%s","topic":%s,"unauthorized":%s,"retried":%d,"form":%d}\n' \
	"$(curl --version | sed -n '1s/curl \([^ ]*\).*/\1/p')" "$single" "$(number success)" "$(word)" \
	"$([ "$topic" = 1 ] && echo true || echo false)" "$([ "$refused" = 401 ] && echo true || echo false)" "$retried" "$form"
