#!/usr/bin/env bash
# Questions about real scans, a photographed page and a real clip, answered by the embedded checkpoint.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

show() {
  printf '\n$ anyres'
  printf ' %q' "$@"
  printf '\n'
  anyres "$@"
}

show ask scan_goose.png "Read the text."
show ask scan_email.png "Read the text."
show ask scan_italian.png "Read the text."
show ask scan_portuguese.png "Read the text."
show ask heading.png "Read the text."
show ask --video clips/sign_book.mkv "Does anything move?"
show inspect clips/sign_book.mkv
