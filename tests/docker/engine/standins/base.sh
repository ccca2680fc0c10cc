#!/bin/sh
# base.sh MIRROR: the file system under every stand-in, as a tar: what a Debian slim image holds.
set -eu
keys=/usr/share/keyrings/debian-archive-keyring.gpg
# Valid-Until: the release files of a frozen mirror are past it. No fsync: half an image is none.
exec mmdebstrap --quiet --variant=minbase --keyring=$keys \
  --aptopt='Acquire::Check-Valid-Until "false"' --aptopt='Acquire::Languages "none"' \
  --aptopt='Acquire::Retries "3"' --aptopt='APT::Install-Recommends "false"' \
  --dpkgopt=force-unsafe-io --dpkgopt='path-exclude=/usr/share/doc/*' \
  --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
  forky - "deb [signed-by=$keys] $1 forky main"
