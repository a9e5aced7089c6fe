#!/usr/bin/env bash
# Questions about real scans and a photographed page, answered by the embedded checkpoint, and a look at a real clip.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

show() {
  printf '\n$ anyres'
  printf ' %q' "$@"
  printf '\n'
  anyres "$@"
}

show ask scan_french.png "Read the text."
show ask scan_spanish.png "Read the text."
show ask scan_price.png "Read the text."
show ask heading.png "Read the text."
show inspect clips/sign_eat.mp4
