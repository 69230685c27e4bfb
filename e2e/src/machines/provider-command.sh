#!/bin/sh
# The executable of the `command` driver in tests: hands what it is asked to the provider that the test holds, behind the socket
# that is its first argument, and answers as told. The first line of the answer is the exit code.
curl --silent --show-error --unix-socket "$1" --data-binary @- "http://provider/$2" | {
  read -r code || exit 1
  cat
  exit "$code"
}
