#!/bin/sh
# Runs the tests that the Dockerfile compiled, with the output of `go test -json`.
status=0
for test in /tests/*.test; do
  test2json -t -p "$(basename "$test" .test)" "$test" -test.v=test2json || status=1
done
exit $status
