#!/usr/bin/env bash
# Installs lavapipe, Mesa's software Vulkan driver, new enough for Dawn. Debian 12's own is not: there it comes from the
# backports of the mirror that the machine already uses. Exits 1, with one line that says why, when it cannot be had.
set -euo pipefail

needed=24
packages=(mesa-vulkan-drivers libvulkan1)

new_enough() { [ -n "$1" ] && [ "$1" != "(none)" ] && dpkg --compare-versions "$1" ge "$needed"; }
installed=$(dpkg-query -W -f '${Version}' mesa-vulkan-drivers 2>/dev/null || true)
has_driver() { ls /usr/share/vulkan/icd.d/lvp_icd*.json >/dev/null 2>&1; }

if new_enough "$installed" && has_driver; then
  echo "lavapipe: Mesa $installed is installed"
  exit 0
fi
command -v apt-get >/dev/null || { echo "lavapipe: not installed, this machine has no apt-get"; exit 1; }

root=()
if [ "$(id -u)" != 0 ]; then
  command -v sudo >/dev/null && sudo -n true 2>/dev/null || { echo "lavapipe: not installed, apt-get needs root"; exit 1; }
  root=(sudo)
fi

. /etc/os-release
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/parts"
cp /etc/apt/sources.list.d/* "$work/parts/" 2>/dev/null || true
backports=$VERSION_CODENAME-backports

# The stanza (or line) of the release itself, with the suite changed: same mirror, same key.
derive() {
  if [ -f /etc/apt/sources.list.d/debian.sources ]; then
    awk -v RS= -v suite="$VERSION_CODENAME" -v new="$backports" '
      $0 ~ ("(^|\n)Suites:([^\n]* )?" suite "( |\n|$)") { sub(/Suites:[^\n]*/, "Suites: " new); print; exit }
    ' /etc/apt/sources.list.d/debian.sources > "$work/parts/backports.sources"
    [ -s "$work/parts/backports.sources" ]
  else
    awk -v suite="$VERSION_CODENAME" -v new="$backports" '
      $1 == "deb" { for (i = 2; i <= NF; i++) if ($i == suite) { $i = new; print; exit } }
    ' /etc/apt/sources.list > "$work/parts/backports.list"
    [ -s "$work/parts/backports.list" ]
  fi
}

candidate() { apt-cache "${options[@]}" policy mesa-vulkan-drivers 2>/dev/null | awk '/Candidate:/ { print $2 }'; }
options=()
install=(install -y -qq --no-install-recommends)
export DEBIAN_FRONTEND=noninteractive

"${root[@]}" apt-get update -qq >/dev/null 2>&1 || true
if ! new_enough "$(candidate)"; then
  derive || { echo "lavapipe: not installed, this machine's package sources have no $VERSION_CODENAME to derive backports from"; exit 1; }
  options=(-o "Dir::Etc::SourceParts=$work/parts")
  "${root[@]}" apt-get "${options[@]}" update -qq >/dev/null 2>&1 || { echo "lavapipe: not installed, $backports cannot be reached"; exit 1; }
  install+=(-t "$backports")
fi
"${root[@]}" apt-get "${options[@]}" "${install[@]}" "${packages[@]}" >"$work/log" 2>&1 || { echo "lavapipe: not installed, $(tail -1 "$work/log")"; exit 1; }
installed=$(dpkg-query -W -f '${Version}' mesa-vulkan-drivers 2>/dev/null || true)
new_enough "$installed" && has_driver || { echo "lavapipe: not installed, the package sources offer Mesa ${installed:-none} only"; exit 1; }
echo "lavapipe: Mesa $installed installed"
