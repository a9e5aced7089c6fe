#!/usr/bin/env bash
# Questions about real scans, a photographed page and a real clip, answered by the embedded checkpoint.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

ask() {
  printf '\n$ anyres ask'
  printf ' %q' "$@"
  printf '\n'
  anyres ask "$@"
}

ask scan_line.png "Read the text."
ask scan_mail.png "Read the text."
ask heading.png "Read the text."
ask --video clips/sign_eat.mp4 "Does anything move?"
