# Let the machine look as if it had an H100: an entry in a list of PCI devices for host_probe, all else there is the
# machine's own; and at boot udev asks for the driver of such a device, which is nouveau as long as nobody keeps it out.
set -eu
host=/opt/nimctl-host
gpu=pci:v000010DEd00002330sv000010DEsd000016C1bc03sc02i00
device=$host/sys/bus/pci/devices/0000:0f:00.0

rm -rf $host
mkdir -p $device
ln -s /proc /dev $host/
for entry in /sys/* /sys/bus/* /sys/bus/pci/* /sys/bus/pci/devices/*; do
  [ -e "$host$entry" ] || ln -s "$entry" "$host$entry"
done
printf '%s\n' PCI_CLASS=30200 PCI_ID=10DE:2330 PCI_SUBSYS_ID=10DE:16C1 PCI_SLOT_NAME=0000:0f:00.0 MODALIAS=$gpu > $device/uevent

cat > /etc/udev/rules.d/90-lab-gpu.rules <<END
ACTION=="add", SUBSYSTEM=="mem", KERNEL=="full", RUN{builtin}+="kmod load $gpu"
END
udevadm control --reload
udevadm trigger --action=add --settle /sys/class/mem/full
grep -q '^nouveau ' /proc/modules
