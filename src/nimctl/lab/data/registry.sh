# A registry that asks for a login and speaks TLS.
set -eu
export DEBIAN_FRONTEND=noninteractive
apt-get install -y -q --no-install-recommends docker-registry
apt-get clean
rm -rf /var/lib/apt/lists /etc/docker/registry
mkdir -p /var/lib/registry /var/lib/apt/lists/partial
