#!/usr/bin/env bash
# Installs the browser in which the page is tested, from Debian's packages. It needs root and apt, and says so.
set -euo pipefail
# tests/src/browser.rs starts the driver, which starts the browser.
packages=(chromium chromium-driver)
if command -v chromedriver >/dev/null; then
    echo "it is there: $(chromedriver --version)"
    exit
fi
give_up() {
    echo "chromium isn't installed: $1. Without it the page's test says that it is skipped." >&2
    exit 1
}
command -v apt-get >/dev/null || give_up "this machine has no apt (install ${packages[*]} by its own means)"
[ "$(id -u)" = 0 ] || give_up "apt needs root: sudo make chromium"
export DEBIAN_FRONTEND=noninteractive
apt-get update --quiet=2 || give_up "apt-get update failed"
apt-get install --quiet=2 --yes --no-install-recommends "${packages[@]}" || give_up "apt-get install failed"
chromedriver --version
