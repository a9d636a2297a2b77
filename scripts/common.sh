# Sourced by the other scripts: where things are, and how to become root.
# shellcheck shell=bash
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
export PATH="$PATH:/usr/sbin:/sbin"
bin=.venv/bin

say() { printf '%s\n' "$*" >&2; }

die() {
    say "error: $*"
    exit 1
}

is_root() { [ "$(id -u)" -eq 0 ]; }

# True when commands can run as root: we are root, or sudo works (it may ask for the password on a terminal).
can_be_root() {
    is_root || { command -v sudo >/dev/null && { sudo -n true 2>/dev/null || { [ -t 0 ] && sudo -v; }; }; }
}

as_root() {
    if is_root; then
        "$@"
    else
        sudo -E env "PATH=$PATH" "$@"
    fi
}

need_root() {
    can_be_root || die "$1 needs root: run it as root, or as a user who may use sudo"
}
