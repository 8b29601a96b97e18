#!/bin/bash
# The first process of a container that is a virtual machine. The machine takes over the container's address and
# MAC: what reaches the container reaches the machine. Told by the environment: NODE, MACHINE_ID, MAC, MEMORY (MiB),
# CPUS. The console goes to standard output.
set -eu
state=/vm/state
monitor=4444
kernel="console=ttyS0 root=/dev/vda rw loglevel=5 mitigations=off net.ifnames=0 systemd.hostname=$NODE systemd.machine_id=$MACHINE_ID"

[ -f "$state/disk.qcow2" ] || {
  qemu-img create -q -f qcow2 -b /vm/base.qcow2 -F qcow2 "$state/new.qcow2"
  mv "$state/new.qcow2" "$state/disk.qcow2"
}

# The address goes over to the machine; the container keeps a bridge without one.
ip addr flush dev eth0
ip link set eth0 down address "02:01:${MAC#*:*:}"
ip link add br0 type bridge forward_delay 0
ip tuntap add tap0 mode tap
for link in eth0 tap0; do ip link set "$link" master br0 up; done
ip link set br0 up

run() { # accelerator, CPU model
  qemu-system-x86_64 -accel "$1" -cpu "$2" -smp "$CPUS" -m "$MEMORY" -display none -nodefaults \
    -kernel /vm/vmlinuz -initrd /vm/initrd -append "$kernel" -serial file:"$state/console" \
    -monitor telnet:127.0.0.1:$monitor,server,nowait \
    -drive file="$state/disk.qcow2",if=virtio,format=qcow2,cache=unsafe \
    -drive file=/vm/seed.tar,if=virtio,format=raw,readonly=on \
    -device virtio-rng-pci -netdev tap,id=n0,ifname=tap0,script=no,downscript=no \
    -device virtio-net-pci,netdev=n0,mac="$MAC" &
  machine=$!
}

shutdown() {
  trap - TERM INT
  # The word that a machine's power button would say.
  { exec 3<>/dev/tcp/127.0.0.1/$monitor && echo system_powerdown >&3; } || kill "$machine"
  wait "$machine" || true
  exit 0
}
trap shutdown TERM INT

: > "$state/console"
tail --quiet --follow=name --retry "$state/console" &
if [ -w /dev/kvm ] && [ "${ACCELERATOR:-kvm}" = kvm ]; then
  run kvm host
  # Some machines offer KVM and do not run a guest by it: one that has said nothing by now never will.
  for _ in $(seq 40); do
    [ ! -s "$state/console" ] && kill -0 "$machine" 2>/dev/null || break
    sleep 0.5
  done
  if [ ! -s "$state/console" ]; then
    echo "lab: no life sign by KVM, so the machine is emulated, which is slower"
    kill -KILL "$machine" 2>/dev/null || true
    wait "$machine" || true
    run tcg,thread=multi max
  fi
else
  run tcg,thread=multi max
fi
wait "$machine"
