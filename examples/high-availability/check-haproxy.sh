#!/bin/bash
# For keepalived: does HAProxy on this machine work? It asks its statistics page, with what bash has itself.
#
# It does not ask for the proxies behind it. While none of them works, the other HAProxy has none either, and moving the address would only
# break more connections.
exec 3<>/dev/tcp/127.0.0.1/8404 || exit 1
printf 'GET / HTTP/1.0\r\n\r\n' >&3
read -r -t 1 _ status _ <&3 && [ "$status" = 200 ]
