# First part of every image: mirrors, certificates, package lists.
set -eu
export DEBIAN_FRONTEND=noninteractive
# Nothing is started while an image is made.
printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d
chmod 0755 /usr/sbin/policy-rc.d
# Images for containers drop downloaded packages; here they are kept.
rm -f /etc/apt/apt.conf.d/docker-clean /etc/apt/apt.conf.d/docker-no-languages /etc/apt/sources.list
find /etc/apt/sources.list.d -type f ! -name debian.sources -delete
if ! dpkg-query -W ca-certificates >/dev/null 2>&1; then
  apt-get update -q
  apt-get install -y -q --no-install-recommends ca-certificates
fi
update-ca-certificates
apt-get update -q --error-on=any
