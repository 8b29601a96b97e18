# Second part: a bare machine, with what a minimal server installation has, and no container engine.
apt-get install -y -q --no-install-recommends $NODE_PACKAGES
apt-get clean

# What the roles install is downloaded already, so that they need seconds and no mirror.
apt-get install -y -q --no-install-recommends --download-only $CACHED_PACKAGES
# For machines whose engines need help (see runc-lab) a runtime outside of the package system.
mkdir -p /usr/local/libexec/nimctl-lab
dpkg-deb --fsys-tarfile /var/cache/apt/archives/runc_*.deb | tar -x -C /usr/local/libexec/nimctl-lab --strip-components=3 ./usr/sbin/runc

useradd --uid 2000 --create-home --shell /bin/bash --password '*' ops
printf 'ops ALL=(ALL) NOPASSWD: ALL\n' > /etc/sudoers.d/ops
chmod 0440 /etc/sudoers.d/ops
mkdir -p /etc/ssh/authorized_keys
printf '%s\n' 'AuthorizedKeysFile /etc/ssh/authorized_keys/%u' 'HostKey /etc/ssh/ssh_host_ed25519_key' \
  'PasswordAuthentication no' 'UseDNS no' > /etc/ssh/sshd_config.d/10-lab.conf

# Each node gets a host key and a machine id of its own.
rm -f /etc/ssh/ssh_host_*
: > /etc/machine-id
# Units that have no meaning in a container, or would work behind the back of a test.
for unit in getty.target console-getty.service getty@.service systemd-udevd.service \
  apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer fstrim.timer e2scrub_all.timer e2scrub_reap.service \
  run-rpc_pipefs.mount rpc-statd.service rpc-statd-notify.service nfs-ganesha-lock.service \
  netavark-dhcp-proxy.service netavark-dhcp-proxy.socket systemd-resolved.service systemd-networkd-wait-online.service
do
  ln -sf /dev/null "/etc/systemd/system/$unit"
done
systemctl enable ssh.service
rm -f /usr/sbin/policy-rc.d
rm -rf /var/log/apt /var/log/dpkg.log /var/log/alternatives.log
