#!/usr/bin/env bash
# Make .venv with nimctl and its tools in it, and install what is missing on this machine.
# Usage: setup.sh venv | system
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf '\033[1m==>\033[0m %s\n' "$*" >&2; }
die() { printf 'setup: %s\n' "$*" >&2; exit 2; }

as_root() {
  if [ "$(id -u)" -eq 0 ]; then "$@"
  elif command -v sudo >/dev/null; then sudo "$@"
  else die "needs root for: $*
  Run it as root, or install sudo."
  fi
}

apt_updated=
apt_install() {
  command -v apt-get >/dev/null || die "cannot install $* here: this is neither Debian nor Ubuntu.
  Install them with your own package manager and run this again."
  say "installing from the distribution: $*"
  if [ -z "$apt_updated" ]; then as_root apt-get update -qq; apt_updated=1; fi
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

find_python() {
  local candidate
  for candidate in ${PYTHON:-} python3 python3.14 python3.13 python3.12 python3.11; do
    if command -v "$candidate" >/dev/null &&
      "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      echo "$candidate"
      return
    fi
  done
  return 1
}

make_venv() {
  local python
  python=$(find_python) || { apt_install python3 python3-venv; python=$(find_python); } ||
    die "no Python 3.11 or newer found. Set PYTHON=/path/to/python3.11 and run this again."
  if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    apt_install "python$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')-venv"
  fi
  [ -x .venv/bin/python ] || { say "making .venv with $("$python" --version)"; "$python" -m venv .venv; }
  .venv/bin/python -m pip --version >/dev/null 2>&1 || .venv/bin/python -m ensurepip >/dev/null
  say "installing nimctl and its tools into .venv"
  # uv takes seconds where pip takes a minute; where it cannot be had, pip does the same work.
  if .venv/bin/python -m pip install -q --disable-pip-version-check uv &&
    .venv/bin/uv pip install -q --python .venv/bin/python -e . --group dev; then
    return
  fi
  say "uv did not do it, using pip"
  .venv/bin/python -m pip install -q --disable-pip-version-check --upgrade 'pip>=25.1'
  .venv/bin/python -m pip install -q --disable-pip-version-check -e . --group dev
}

container_engine() {
  if command -v podman >/dev/null; then echo podman
  elif command -v docker >/dev/null && docker info >/dev/null 2>&1; then echo docker
  fi
}

install_system() {
  local missing=() engine
  engine=$(container_engine)
  if [ -z "$engine" ]; then
    # netavark of podman 4 calls iptables, and Debian's package does not ask for it.
    missing+=(podman netavark aardvark-dns iptables uidmap)
    # crun, podman's default, refuses a machine that still has the older cgroup hierarchy.
    [ "$(stat -fc %T /sys/fs/cgroup)" = cgroup2fs ] || missing+=(runc)
  fi
  command -v ssh >/dev/null || missing+=(openssh-client)
  command -v openssl >/dev/null || missing+=(openssl)
  command -v ip >/dev/null || missing+=(iproute2)
  # The RHEL family's side is tested with dnf on repositories that are built here.
  command -v dnf >/dev/null || missing+=(dnf)
  command -v rpmbuild >/dev/null || missing+=(rpm)
  command -v createrepo_c >/dev/null || missing+=(createrepo-c)
  command -v gpg >/dev/null || missing+=(gpg gpg-agent)
  # Pages are looked at in a real browser. Ubuntu has it as a snap only; there those tests are skipped.
  if [ "$(. /etc/os-release && echo "$ID")" = debian ]; then
    command -v chromium >/dev/null || missing+=(chromium)
    command -v chromedriver >/dev/null || missing+=(chromium-driver)
  fi
  [ "${#missing[@]}" -eq 0 ] || apt_install "${missing[@]}"

  # The lab's images start from a Debian image; where none can be pulled they are bootstrapped.
  engine=$(container_engine)
  local image=docker.io/library/debian:trixie-slim
  if ! command -v mmdebstrap >/dev/null && ! "$engine" image inspect "$image" >/dev/null 2>&1 &&
    ! timeout 60 "$engine" pull -q "$image" >/dev/null 2>&1; then
    say "no container registry can be reached, so the lab's images are bootstrapped"
    apt_install mmdebstrap debian-archive-keyring
  fi
}

case ${1:-} in
  venv) make_venv ;;
  system) install_system ;;
  *) die "usage: $0 venv|system" ;;
esac
