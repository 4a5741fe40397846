#!/bin/sh
# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
#
# Entry point of docker/search.Dockerfile.
#
#   mmv-search                   update the index of $VIDEOS in the background, and serve it
#   mmv-search healthy           exit with status 0 if the server responds
#   mmv-search COMMAND ...       run a command of `mmv search`, such as query
# MODEL is a file or a published name. The token is in $MMV_SEARCH_TOKEN, or in the secret
# search_token; without a token the server does not start.

set -eu
secret=/run/secrets/search_token

fail() {
  printf 'mmv-search: %s\n' "$*" >&2
  exit 1
}

case ${1:-} in
  '') ;;
  healthy)
    exec python -c 'import os, urllib.request
urllib.request.urlopen("http://127.0.0.1:%s/healthz" % os.environ["PORT"], timeout=4)'
    ;;
  *) exec mmv search "$@" ;;
esac

[ -n "${MODEL:-}" ] || fail 'MODEL is not set; set a model: -e MODEL=PATH'
[ -d "$VIDEOS" ] || fail "$VIDEOS does not exist; mount the videos: -v DIR:$VIDEOS:ro"
[ -w "$INDEX" ] || fail "$INDEX is not writable by user $(id -u); mount a volume: -v mmv-index:$INDEX"
if [ -z "${MMV_SEARCH_TOKEN:-}" ]; then
  # shellcheck disable=SC2016  # the command is shown, not run
  [ -r "$secret" ] || fail 'there is no token; set one: -e MMV_SEARCH_TOKEN=$(openssl rand -hex 16)'
  set -- --token_file="$secret"
fi

# If the indexer is stopped or killed, the index stays complete; the next start resumes.
(mmv search index --videos="$VIDEOS" --model="$MODEL" --index="$INDEX" ||
  printf 'mmv-search: the index was not updated (see above)\n' >&2) &
exec mmv search serve --index="$INDEX" --host=0.0.0.0 \
  --http_port="$PORT" "$@"
