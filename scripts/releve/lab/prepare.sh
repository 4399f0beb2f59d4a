# shellcheck shell=sh
# shellcheck disable=SC2154  # root: the checkout, set by the script that sources this file
# Sourced by scripts/lab and scripts/test: get ready on a fresh Debian 12 or 13, as root.
# Everything is named before it is installed; what is there already is not touched, so that a
# second run needs no network.

PATH="$PATH:/usr/sbin:/sbin"
# Ansible refuses to start without a UTF-8 locale; this one is always there.
LC_ALL=C.UTF-8
# As apt and pip do: believe the machine's own list of authorities.
SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
export PATH LC_ALL SSL_CERT_FILE
# Python programs start here by the thousand, and Ansible forks one for each task: where an image
# asks to keep no bytecode, each of them would compile all that it imports.
unset PYTHONDONTWRITEBYTECODE

# What the tools themselves need, what the lab needs, and what only the tests need.
# shellcheck disable=SC2034  # used by the scripts that source this file
{
QUICK_PACKAGES="ca-certificates git openssh-client python3 python3-venv shellcheck"
LAB_PACKAGES="apt-utils btrfs-progs ca-certificates debian-archive-keyring e2fsprogs git iproute2 \
mmdebstrap netavark openssh-client openssl podman procps python3 python3-venv runc util-linux"
TEST_PACKAGES="busybox-static libnss3-tools ovmf python3-libnbd qemu-system-x86 qemu-utils shellcheck sshfs strace \
swtpm swtpm-tools"
}

say() { printf '%s\n' "$*" >&2; }
refuse() { say "$(basename "$0"): $*"; exit 5; }

# become_root SCRIPT ARGS...: go on as root, by sudo where we are not.
become_root() {
    [ "$(id -u)" -ne 0 ] || return 0
    command -v sudo >/dev/null 2>&1 ||
        refuse "needs root (namespaces, loop devices, packages): run it as root, or install sudo"
    say "needs root: going on through sudo"
    # The caller's cache and not root's: the images are there from a run of scripts/test or lab.
    exec sudo -- env \
        RELEVE_CACHE="${RELEVE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/releve}" sh "$@"
}

# install_debian PACKAGE...: name what is missing, then install it.
install_debian() {
    command -v apt-get >/dev/null 2>&1 || refuse "needs Debian 12 or 13: there is no apt-get here"
    missing=
    for package in "$@"; do
        state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) || state=absent
        [ "$state" = installed ] || missing="$missing $package"
    done
    [ -n "$missing" ] || return 0
    say "installs these Debian packages:$missing"
    mkdir -p "$root/build/log"
    # shellcheck disable=SC2086  # the list is words on purpose
    if ! {
        apt-get -o DPkg::Lock::Timeout=300 -q update &&
            DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 -q install -y \
                --no-install-recommends $missing
    } >"$root/build/log/apt.log" 2>&1; then
        tail -n 15 "$root/build/log/apt.log" >&2
        refuse "the packages could not be installed; see build/log/apt.log, mend it, run again"
    fi
}

# install_sshd: the tests start an sshd of their own on loopback; the machine's stays out of service.
install_sshd() {
    [ ! -x /usr/sbin/sshd ] || return 0
    say "openssh-server comes without its service: ssh.service and ssh.socket are masked"
    mkdir -p /etc/systemd/system
    for unit in ssh.service ssh.socket; do
        [ -e "/etc/systemd/system/$unit" ] || ln -s /dev/null "/etc/systemd/system/$unit"
    done
    # Where systemd is not what runs, only this keeps a package from starting what it brings.
    policy=/usr/sbin/policy-rc.d
    if [ -e "$policy" ]; then policy=; else
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
    fi
    (install_debian openssh-server openssh-sftp-server) || {
        status=$?
        [ -z "$policy" ] || rm -f "$policy"
        exit $status
    }
    [ -z "$policy" ] || rm -f "$policy"
}

# install_python: the virtual environment .venv, exactly as requirements.lock says.
install_python() {
    stamp="$root/.venv/.releve-stamp"
    wanted=$(cat "$root/requirements.lock" "$root/pyproject.toml" | sha256sum)
    wanted="$wanted $root $(/usr/bin/python3 -V)"
    if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ]; then return 0; fi
    say "installs $(grep -c '^[a-z].*==' "$root/requirements.lock") Python packages of" \
        "requirements.lock into .venv"
    mkdir -p "$root/build/log"
    if ! {
        /usr/bin/python3 -m venv --clear "$root/.venv" &&
            awk '/^uv==/ { on = 1 } on { print } on && !/\\$/ { exit }' "$root/requirements.lock" \
                >"$root/build/log/uv.lock" &&
            "$root/.venv/bin/pip" install -q --disable-pip-version-check --require-hashes \
                -r "$root/build/log/uv.lock" &&
            "$root/.venv/bin/uv" pip install -q --python "$root/.venv/bin/python" \
                --require-hashes -r "$root/requirements.lock" &&
            "$root/.venv/bin/uv" pip install -q --python "$root/.venv/bin/python" \
                --no-deps --no-build-isolation -e "$root"
    } >"$root/build/log/python.log" 2>&1; then
        tail -n 15 "$root/build/log/python.log" >&2
        refuse "the Python packages could not be installed; see build/log/python.log, run again"
    fi
    printf '%s' "$wanted" >"$stamp"
}
