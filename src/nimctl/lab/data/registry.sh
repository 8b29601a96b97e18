# Second part: a registry that asks for a login and speaks TLS.
apt-get install -y -q --no-install-recommends $PACKAGES
apt-get clean
rm -rf /var/lib/apt/lists /etc/docker/registry
mkdir -p /var/lib/registry /var/lib/apt/lists/partial
rm -f /var/cache/apt/*.bin
