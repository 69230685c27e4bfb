#!/bin/sh
# An example of a provider for the driver `command`: machines are containers of the Docker Engine on this host.
# What it reads and answers: docs/provisioner.md, "Your own provider". Needs docker and jq.
#
# machine: {"image": "…", "command": ["…"]}; without a command the image's own.
set -eu

question=$(cat)
ask() { printf '%s' "$question" | jq -er "$1"; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 143' HUP INT TERM

# The exit code is the kind of the failure; the text on stderr is shown to people.
THROTTLED=10 REFUSED=13 UNAVAILABLE=14
fail() {
  echo "$2" >&2
  exit "$1"
}

# Runs docker and tells its failures apart. What is gone already needs no removal.
engine() {
  if docker "$@" 2>"$work/errors"; then return; fi
  said=$(tail -n 3 "$work/errors")
  case $said in
    *'No such container'* | *'is already in progress'*) ;;
    *'No such image'* | *'pull access denied'* | *'invalid reference'*) fail $REFUSED "$said" ;;
    *toomanyrequests*) fail $THROTTLED "$said" ;;
    *) fail $UNAVAILABLE "$said" ;;
  esac
}

LINE='{"provider_id": {{json .ID}}, "state": {{json .State}}, "tags": {
  "controller": {{json (.Label "shipfox.controller")}},
  "pool": {{json (.Label "shipfox.pool")}},
  "instance": {{json (.Label "shipfox.instance")}}}}'

check() {
  ask '.machines[].image' | sort -u | while read -r image; do
    docker image inspect "$image" >/dev/null 2>&1 || echo "The image $image is not on this host: docker pull $image"
  done | jq -Rs '{problems: split("\n") | map(select(. != ""))}'
}

create() {
  # Asked again for an instance: the same machine.
  id=$(find_instance)
  if [ -z "$id" ]; then
    code=0
    id=$(make_container) || code=$?
    # Another call for the instance may have been faster.
    [ -n "$id" ] || id=$(find_instance)
    [ -n "$id" ] || exit "$code"
  fi
  if [ "$(engine inspect --format '{{.State.Status}}' "$id")" = created ]; then
    give_boot_files "$id"
    engine start "$id" >/dev/null
  fi
  jq -n --arg id "$id" '{provider_id: $id}'
}

find_instance() {
  engine ps --all --no-trunc --quiet --filter "label=shipfox.instance=$(ask .tags.instance)"
}

make_container() {
  set -- --name "$(ask .name)" --label "shipfox.template=$(ask .template_key)"
  for tag in controller pool instance; do set -- "$@" --label "shipfox.$tag=$(ask ".tags.$tag")"; done
  set -- "$@" --security-opt no-new-privileges --pids-limit 2048 --pull never "$(ask .machine.image)"
  count=$(ask '.machine.command // [] | length')
  at=0
  while [ "$at" -lt "$count" ]; do
    set -- "$@" "$(ask ".machine.command[$at]")"
    at=$((at + 1))
  done
  engine create "$@"
}

# The token goes from file to file: never into the arguments or the environment of a program.
give_boot_files() {
  mkdir -m 0755 "$work/shipfox"
  (
    umask 077
    ask '.runner_env | to_entries[] | "\(.key)=\(.value)"' >"$work/shipfox/runner.env"
    echo 'SHIPFOX_RUNNER_REGISTRATION_TOKEN_FILE=/etc/shipfox/registration-token' >>"$work/shipfox/runner.env"
    ask .registration_token >"$work/shipfox/registration-token"
  )
  engine cp "$work/shipfox" "$1:/etc" >&2
}

list() {
  if id=$(ask .provider_id); then
    set -- --filter "id=$id"
  else
    set -- --filter "label=shipfox.controller=$(ask .controller)" --filter "label=shipfox.pool=$(ask .pool)"
  fi
  # Not in a pipe, where the failure of docker would be lost and look like an empty list.
  lines=$(engine ps --all --no-trunc --format "$LINE" "$@")
  printf '%s' "$lines" | jq -s '{complete: true, machines: map(
    .tags |= with_entries(select(.value != ""))
    | .state |= ({created: "starting", exited: "stopped", dead: "stopped", removing: "stopping"}[.] // "running")
  )}'
}

delete() {
  engine rm --force --volumes "$(ask .provider_id)" >/dev/null
  echo '{}'
}

console() {
  id=$(ask .provider_id)
  if docker inspect "$id" >/dev/null 2>&1; then
    docker logs --tail 200 "$id" 2>&1 | jq -Rs '{console: .}'
  else
    echo '{"console": null}'
  fi
}

case ${1:-} in
  check | create | list | delete | console) "$1" ;;
  *) fail $REFUSED "usage: $0 check|create|list|delete|console" ;;
esac
