# shellcheck shell=bash
# Shared by the scripts of this repository: where things are cached, how to speak, how to be root.

# Colour for people only.
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
	bold=$'\033[1m' loud=$'\033[1;33m' plain=$'\033[0m'
else
	bold='' loud='' plain=''
fi

say() { printf '%s==> %s%s\n' "$bold" "$*" "$plain"; }
shout() { printf '%s%s%s\n' "$loud" "$*" "$plain"; }
note() { printf '    %s\n' "$*"; }
die() {
	printf 'error: %s\n' "$1" >&2
	shift
	for line in "$@"; do printf '  hint: %s\n' "$line" >&2; done
	exit 1
}

as_root() {
	if [ "$(id -u)" -eq 0 ]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo "$@"
	else
		die "this needs root, and there is no sudo: $*" "run it as root, or apt-get install sudo"
	fi
}

# Outside the clone, so that a fresh clone is not a cold one.
if [ -n "${XDG_CACHE_HOME:-}" ]; then
	cache=$XDG_CACHE_HOME/hostkit
elif [ "$(id -u)" -eq 0 ]; then
	cache=/var/cache/hostkit
else
	cache=$HOME/.cache/hostkit
fi
mkdir -p "$cache"

# A fresh rustup is not yet on the PATH of the shell that installed it; some tools live in sbin.
export PATH="$PATH:${CARGO_HOME:-$HOME/.cargo}/bin:/usr/local/sbin:/usr/sbin:/sbin"
