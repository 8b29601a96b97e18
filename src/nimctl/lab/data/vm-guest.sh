# Second part of the image whose containers are virtual machines: the disk of the machine, then what runs it.
# The machine's system is made in this container first, with a kernel of its own, and then packed into the disk.
apt-get install -y -q --no-install-recommends initramfs-tools zstd
printf 'MODULES=list\nCOMPRESS=zstd\n' > /etc/initramfs-tools/conf.d/lab.conf
printf '%s\n' virtio_pci virtio_blk ext4 >> /etc/initramfs-tools/modules
apt-get install -y -q --no-install-recommends $GUEST_PACKAGES
# QEMU brings the initrd along: packages that make it anew, such as nfs-common, would take minutes for nothing.
printf 'update_initramfs=no\n' > /etc/initramfs-tools/update-initramfs.conf
apt-get clean
# What the roles install is downloaded already, so that they need seconds and no mirror.
apt-get install -y -q --no-install-recommends --download-only $CACHED_PACKAGES

useradd --uid 2000 --create-home --shell /bin/bash --password '*' ops
printf 'ops ALL=(ALL) NOPASSWD: ALL\n' > /etc/sudoers.d/ops
chmod 0440 /etc/sudoers.d/ops
mkdir -p /etc/ssh/authorized_keys
printf '%s\n' 'AuthorizedKeysFile /etc/ssh/authorized_keys/%u' 'HostKey /etc/ssh/ssh_host_ed25519_key' \
  'PasswordAuthentication no' 'UseDNS no' > /etc/ssh/sshd_config.d/10-lab.conf
rm -f /etc/ssh/ssh_host_*
# Empty, not missing: a first boot would go through the presets of all units. Each machine is told its own id.
: > /etc/machine-id

# The files of one machine come as a tar stream on a second disk.
cat > /etc/systemd/system/lab-seed.service <<'END'
[Unit]
Description=Files of this machine, from its second disk
DefaultDependencies=no
ConditionPathExists=/dev/vdb
ConditionPathExists=!/var/lib/lab-seeded
After=systemd-remount-fs.service
Before=sysinit.target systemd-networkd.service systemd-tmpfiles-setup.service
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=tar --extract --file=/dev/vdb --directory=/ --no-same-owner
ExecStart=touch /var/lib/lab-seeded
[Install]
WantedBy=sysinit.target
END
systemctl enable lab-seed.service systemd-networkd.service ssh.service serial-getty@ttyS0.service
# Units that would work behind the back of a test.
for unit in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer fstrim.timer e2scrub_all.timer \
  e2scrub_reap.service systemd-networkd-wait-online.service
do
  ln -sf /dev/null "/etc/systemd/system/$unit"
done
rm -f /usr/sbin/policy-rc.d
rm -rf /var/log/apt /var/log/dpkg.log /var/log/alternatives.log

mkdir -p /vm /guest
tar --create --one-file-system --directory=/ --exclude=./guest --exclude=./vm --exclude=./dev/* --exclude=./etc/resolv.conf \
  --exclude=./etc/hosts --exclude=./etc/hostname --exclude=./run/* . | tar --extract --directory=/guest
cp /guest/boot/vmlinuz-* /vm/vmlinuz
cp /guest/boot/initrd.img-* /vm/initrd

printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d
chmod 0755 /usr/sbin/policy-rc.d
apt-get install -y -q --no-install-recommends $HOST_PACKAGES
mke2fs -q -t ext4 -d /guest /vm/disk.raw "${DISK_MIB}M"
qemu-img convert -c -O qcow2 -o compression_type=zstd /vm/disk.raw /vm/base.qcow2
rm -rf /guest /vm/disk.raw /boot /lib/modules /var/cache/apt/archives/*.deb
