#!/bin/sh
# Runs a job, and again where that alone can help: exit code 6, the API or the disk was unavailable. Everything else ends
# it with the code of the run: money (5) and key (4) need a person, and a lock (7) says that another run is at it already.
#
#   nightly.sh JOB [OPTION OF run]...        TRIES (3) runs at most, PAUSE (1800) seconds between them
#
# A signal goes on to the run, whose calls in flight then get `run.drain` to land; it is not run again (130, 143).
set -u
left=${TRIES:-3}
child= stopped=
trap 'stopped=1; [ -z "$child" ] || kill -TERM "$child" 2>/dev/null' TERM INT HUP

# Waits for $child, also over signals: `wait` returns early when a trap was run.
landed() {
  wait "$child"; code=$?
  while kill -0 "$child" 2>/dev/null; do wait "$child"; code=$?; done
}

while :; do
  venice-batch run "$@" --yes &
  child=$!
  # The signal may have come before there was anybody to send it to.
  [ -z "$stopped" ] || kill -TERM "$child"
  landed
  left=$((left - 1))
  [ "$code" -eq 6 ] && [ "$left" -gt 0 ] && [ -z "$stopped" ] || exit "$code"
  sleep "${PAUSE:-1800}" &
  child=$!
  landed
  [ -z "$stopped" ] || exit 143
done
