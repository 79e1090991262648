#!/bin/sh
# Install and start Docker on Debian or Ubuntu, as root, and bubblewrap for the tier that needs no daemon;
# does nothing where all is there.
# `make docker` calls this.
set -eu

log=/var/log/dockerd.log

answers() { docker info >/dev/null 2>&1; }

# Without a registry the image's base is made of Debian packages, by mmdebstrap.
others="mmdebstrap bwrap"
have_others() { for command in $others; do command -v "$command" >/dev/null || return 1; done; }

if answers && { have_others || [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; }; then
    echo "Docker answers already."
    exit 0
fi
if [ "$(uname -s)" != Linux ] || ! command -v apt-get >/dev/null; then
    echo "This installs Docker on Debian and Ubuntu only. Elsewhere install Docker Desktop or Docker Engine" >&2
    echo "(https://docs.docker.com/get-docker/), start it, and check that 'docker info' answers." >&2
    exit 1
fi
if [ "$(id -u)" -ne 0 ]; then
    echo "Docker does not answer to $(id -un). Run this as root (sudo make docker); or, if Docker runs," >&2
    echo "join its group (sudo usermod -aG docker $(id -un), then log in again)." >&2
    exit 1
fi

missing=""
answers || command -v dockerd >/dev/null || missing="docker.io"
command -v mmdebstrap >/dev/null || missing="$missing mmdebstrap"
command -v bwrap >/dev/null || missing="$missing bubblewrap"
if [ -n "$missing" ]; then
    echo "Installing $missing"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    # Newer releases have the client in a package of its own.
    if [ "${missing#docker.io}" != "$missing" ] && apt-cache show docker-cli >/dev/null 2>&1; then
        missing="$missing docker-cli"
    fi
    # shellcheck disable=SC2086
    apt-get install -y -qq --no-install-recommends $missing ca-certificates iptables >/dev/null
fi

if answers; then
    :
elif [ -d /run/systemd/system ]; then
    systemctl start docker
else
    echo "Starting dockerd in the background; it logs to $log"
    setsid nohup dockerd >"$log" 2>&1 </dev/null &
fi

tries=0
until answers; do
    tries=$((tries + 1))
    if [ "$tries" -gt 60 ]; then
        echo "Docker does not answer after a minute. The end of its log:" >&2
        tail -n 20 "$log" >&2 || true
        exit 1
    fi
    sleep 1
done
echo "Docker answers: $(docker version --format '{{.Server.Version}}')"
