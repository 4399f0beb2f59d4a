#!/bin/sh
# Build a disk that holds this image's own system, a whole Debian, as an installer for a machine
# with an IDE disk leaves it: the initramfs has the drivers of that disk and no others, fstab and
# the network's configuration name what the kernel found. NAME, CARD (its name there), ADDRESS
# (with prefix length) and SIZE (MiB) come from the environment; /keys has its ssh host key and authorized_keys;
# the disk goes to /out/disk.
set -eu
UUID=5f0c2e8a-6b1d-4c37-9a52-c0ffee5a1e01
kernel=$(ls /lib/modules)

echo "$NAME" > /etc/hostname
echo '/dev/sda1 / ext4 errors=remount-ro 0 1' > /etc/fstab
printf '%s\n' 'auto lo' 'iface lo inet loopback' "auto $CARD" "iface $CARD inet static" \
    "    address $ADDRESS" > /etc/network/interfaces
install -m 600 -D /keys/authorized_keys /root/.ssh/authorized_keys
install -m 600 /keys/ssh_host_ed25519_key /etc/ssh
install -m 644 /keys/ssh_host_ed25519_key.pub /etc/ssh

printf 'MODULES=list\nCOMPRESS=gzip\nCOMPRESSLEVEL=1\n' > /etc/initramfs-tools/conf.d/installer
printf 'ata_piix\nsd_mod\next4\n' > /etc/initramfs-tools/modules
update-initramfs -u -k "$kernel"

# GRUB by hand, since nothing is mounted: boot.img looks for the rest in the sector behind itself.
mkdir -p /boot/grub
cat > /boot/grub/grub.cfg << EOF
linux /boot/vmlinuz-$kernel root=UUID=$UUID ro console=ttyS0 loglevel=3
initrd /boot/initrd.img-$kernel
boot
EOF
cd /tmp
modules=/usr/lib/grub/i386-pc
grub-mkimage -d $modules -O i386-pc -p '(hd0,msdos1)/boot/grub' -o core.img \
    biosdisk part_msdos ext2 linux normal
truncate -s "${SIZE}M" /out/disk
dd if=$modules/boot.img of=/out/disk conv=notrunc status=none
dd if=core.img of=/out/disk bs=512 seek=1 conv=notrunc status=none
sfdisk -q /out/disk << EOF
label: dos
start=1MiB, type=linux, bootable
EOF
rm core.img
mkdir /tmp/root
mount --bind / /tmp/root # without what is mounted in this container
mke2fs -q -F -t ext4 -U $UUID -E offset=1048576 -d /tmp/root /out/disk "$((SIZE - 1))M"
