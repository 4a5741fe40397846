#!/bin/sh
# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
#
# Makes .venv from requirements.lock and installs the project in it, editable. `make setup` calls it.
#
#   sh tools/setup.sh                    with the first of python3.11 to python3.13 and python3 that will do
#   PYTHON=/path/to/python sh tools/setup.sh
#   sh tools/setup.sh docs               .venv-docs from requirements-docs.lock instead: the tools that
#                                        build the documentation, which reads the project, not imports it
#
# What was done is not done again: .venv/setup.stamp, written last, holds a hash of the files below.
# An interrupted run leaves no stamp, and the next run completes it. What fails ends with one line
# that says what to do, and exit status 1; pip's own words are in .venv/setup.log.

set -eu
cd "$(dirname "$0")/.."

case ${1:-} in
  docs)
    venv=.venv-docs
    lock=requirements-docs.lock
    inputs=$lock
    ;;
  *)
    venv=.venv
    lock=requirements.lock
    inputs="$lock setup.py pyproject.toml mmv_tf/version.py"
    ;;
esac
stamp=$venv/setup.stamp
log=$venv/setup.log
want='Install Python 3.11, 3.12 or 3.13 (Debian, Ubuntu: apt install python3 python3-venv), or give one: make setup PYTHON=path'

say() { printf '%s\n' "$*"; }
fail() {
  printf 'setup: %s\n' "$*" >&2
  exit 1
}

# --- What is there --------------------------------------------------------------------------------

hash_of_inputs() {
  # shellcheck disable=SC2086  # a list of names without spaces
  if command -v sha256sum >/dev/null 2>&1; then cat $inputs | sha256sum; else cat $inputs | shasum -a 256; fi
}

# "3.11 /usr/bin/python3.11": version and installation of a Python; fails if it doesn't run.
identity() {
  "$1" -c 'import os, sys
print("%d.%d" % sys.version_info[:2], os.path.realpath(getattr(sys, "_base_executable", sys.executable)))' 2>/dev/null
}

# Sets python and python_identity. A name on the PATH is no proof: pyenv's shims exist and fail.
choose_python() {
  if [ -n "${PYTHON:-}" ]; then
    python_identity=$(identity "$PYTHON") || fail "PYTHON=$PYTHON does not run. $want"
    case $python_identity in
      3.1[123]\ *) python=$PYTHON ;;
      *) fail "PYTHON=$PYTHON is Python ${python_identity%% *}. $want" ;;
    esac
    return
  fi
  for python in python3.11 python3.12 python3.13 python3; do
    python_identity=$(identity "$python") || continue
    case $python_identity in 3.1[123]\ *) return ;; esac
  done
  fail "no Python 3.11, 3.12 or 3.13 found. $want"
}

# The stamp says where it was made (scripts hold absolute paths), from what, and with which Python.
expected_stamp() { printf '%s\n%s\n%s\n' "$(pwd -P)" "$(hash_of_inputs)" "$(identity $venv/bin/python)"; }

is_done() {
  [ -f $stamp ] && [ "$(cat $stamp)" = "$(expected_stamp)" ] || return 1
  [ -z "${PYTHON:-}" ] || [ "$(identity "$PYTHON")" = "$(identity $venv/bin/python)" ]
}

# --- Making it ------------------------------------------------------------------------------------

# Ends with the line that fits what the log says, if it says something known.
explain_log() {
  if grep -q 'No space left on device' "$log"; then
    fail "no space left on the disk: .venv takes about 3.5 GB and ${TMPDIR:-/tmp} 1 GB while installing. Free some and run the same command again."
  elif grep -q 'DO NOT MATCH THE HASHES' "$log"; then
    fail "a download is not what $lock expects (altered or broken). Run '$venv/bin/python -m pip cache purge' and the same command again; see $log"
  elif grep -qE 'connection broken|Max retries|ConnectionError|Timeout|ProxyError|SSLError|Temporary failure' "$log"; then
    fail "the package index can not be reached. Check the network (or pip's proxy and index settings) and run the same command again; see $log"
  elif grep -q 'from versions: none' "$log"; then
    missing=$(sed -n 's/^ERROR: No matching distribution found for \([^ ;]*\).*/\1/p' "$log" | tail -n 1)
    fail "pip finds no wheel of $missing. Check pip's index settings (pip config list), and that this machine is what the lock is for (Linux on x86-64 or aarch64); see $log"
  fi
}

explain() {
  explain_log
  reason=$(grep -E '^ERROR|[Ee]rror:' "$log" | tail -n 1)
  fail "$1${reason:+ ($reason)}. Run the same command again; see $log"
}

# Debian and Ubuntu keep ensurepip in another package, python3.N-venv. Without it pip comes from a pip
# that this Python already has, or from the wheel in Debian's python3-pip-whl (fetched, not installed).
add_pip() {
  "$python" -m pip --python $venv/bin/python install pip >>"$log" 2>&1 && return
  command -v apt-get >/dev/null 2>&1 && command -v dpkg-deb >/dev/null 2>&1 || return 1
  temp=$(mktemp -d)
  trap 'rm -rf "$temp"' EXIT
  trap 'exit 130' INT TERM
  if ! fetch_pip_package && [ "$(id -u)" = 0 ]; then
    apt-get update >>"$log" 2>&1 || true
    fetch_pip_package || true
  fi
  for wheel in "$temp"/usr/share/python-wheels/pip-*.whl; do
    [ -f "$wheel" ] && $venv/bin/python "$wheel/pip" install --no-index --no-deps "$wheel" >>"$log" 2>&1 && return
  done
  return 1
}

fetch_pip_package() {
  (cd "$temp" && apt-get download python3-pip-whl && dpkg-deb -x python3-pip-whl*.deb .) >>"$log" 2>&1
}

make_venv() {
  rm -rf $venv
  mkdir $venv || fail "$(pwd) can not be written to."
  say "Making $venv with $python (Python ${python_identity%% *})"
  "$python" -m venv $venv >>"$log" 2>&1 && return
  if "$python" -m venv --without-pip $venv >>"$log" 2>&1 && add_pip; then return; fi
  explain_log
  fail "Python's venv module lacks pip here. Install it (Debian, Ubuntu: apt install python${python_identity%% *}-venv) and run the same command again; see $log"
}

# A package counts as installed when pip has finished its RECORD, where it lists its own INSTALLER mark.
# One that was interrupted before that has to be forgotten, or pip would take it for whole.
forget_unfinished_packages() {
  for info in "$venv"/lib/python3.*/site-packages/*.dist-info; do
    [ -d "$info" ] || continue
    grep -qs 'INSTALLER' "$info/RECORD" || rm -rf "$info"
  done
}

install_packages() {
  count=$(grep -cE '^[A-Za-z0-9]' $lock)
  say "Installing about $count packages: a minute or two (details in $log)"
  # Wheels only: nothing is compiled here, and nothing from the network runs while installing.
  $venv/bin/python -m pip install --disable-pip-version-check --no-input --only-binary :all: \
    --require-hashes -r $lock >>"$log" 2>&1 || explain "pip could not install $lock"
  [ $venv = .venv ] || return 0
  $venv/bin/python -m pip install --disable-pip-version-check --no-input --no-deps --no-build-isolation \
    --editable . >>"$log" 2>&1 || explain "pip could not install the project itself"
}

# A .venv without a stamp, or with an old one, is completed in place if it can be.
is_usable() {
  identity_of_venv=$(identity $venv/bin/python) || return 1
  case $identity_of_venv in 3.1[123]\ *) ;; *) return 1 ;; esac
  [ -z "${PYTHON:-}" ] || [ "$identity_of_venv" = "$python_identity" ] || return 1
  [ ! -f $stamp ] || [ "$(sed -n 1p $stamp)" = "$(pwd -P)" ] || return 1
  $venv/bin/python -m pip --version >/dev/null 2>&1
}

# --- In order -------------------------------------------------------------------------------------

! is_done || exit 0

# Two runs at once (make setup beside make test): the second waits, then finds it done.
if command -v flock >/dev/null 2>&1; then
  exec 9<$lock
  flock -n 9 || {
    say "Waiting for another set-up of this folder to end"
    flock 9
  }
  ! is_done || exit 0
fi

[ -z "${PYTHON:-}" ] || choose_python
if ! is_usable; then
  choose_python
  make_venv
fi
rm -f $stamp
: >"$log"
forget_unfinished_packages
install_packages
expected_stamp >$stamp.new
mv $stamp.new $stamp
say "Ready: $venv"
