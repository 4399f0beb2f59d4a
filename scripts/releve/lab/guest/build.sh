#!/bin/sh
# Build one guest's disk in the image `guest`: FIRMWARE (bios|uefi), FORMAT (raw|qcow2), SIZE (MiB),
# DISKS (how many), ADDRESS (with prefix length) and PORT come from the environment; /source has this
# folder, the first disk goes to /out/disk. Partition 1 (from 1 MiB) boots, partition 2 (from 65 MiB) holds the data.
set -eu
cd /tmp
kernel=$(ls /lib/modules)
options="console=ttyS0 quiet panic=5 releve.address=$ADDRESS releve.port=$PORT releve.disks=$DISKS"
# `identity` reads the machine's generation where the firmware put it
options="$options iomem=relaxed"

mkdir -p root/bin root/modules root/proc root/sys root/dev root/data root/run root/etc/acpi/PWRF
cp /usr/bin/busybox root/bin/busybox
cc -std=gnu11 -Os -static -Wall -Wextra -Werror -o root/bin/chain /source/chain.c
cc -std=gnu11 -Os -static -Wall -Wextra -Werror -o root/bin/tick /source/tick.c
install -m 755 /source/identity /source/answer root/bin
install -m 755 /source/init root/init
install -m 755 /source/button root/etc/acpi/PWRF/00000080
number=100
for module in virtio_pci virtio_blk virtio_scsi ahci sd_mod virtio_net ext4 crc32c_generic button evdev; do
    modprobe -S "$kernel" --show-depends "$module"
done | sed -n 's/^insmod \([^ ]*\).*/\1/p' | awk '!seen[$0]++' > modules
while read -r file; do
    number=$((number + 1))
    name=root/modules/$number-$(basename "${file%%.ko*}").ko
    case $file in
        *.xz) busybox xz -dc "$file" > "$name" ;;
        *) cp "$file" "$name" ;;
    esac
done < modules
(cd root && find . | cpio --quiet -o -H newc) | gzip -1 > initrd.gz

truncate -s 64M boot
mkfs.vfat -F 32 boot > /dev/null
truncate -s "${SIZE}M" disk.raw
if [ "$FIRMWARE" = uefi ]; then
    label=gpt type=uefi
    ukify build --linux="/boot/vmlinuz-$kernel" --initrd=initrd.gz --cmdline="$options" \
        --output=kernel.efi > /dev/null
    mmd -i boot ::/EFI ::/EFI/BOOT
    mcopy -i boot kernel.efi ::/EFI/BOOT/BOOTX64.EFI
else
    label=dos type=c
    mcopy -i boot "/boot/vmlinuz-$kernel" ::/vmlinuz
    mcopy -i boot initrd.gz ::/initrd.gz
    printf 'DEFAULT guest\nPROMPT 0\nTIMEOUT 0\nLABEL guest\n KERNEL /vmlinuz\n APPEND initrd=/initrd.gz %s\n' \
        "$options" > syslinux.cfg
    mcopy -i boot syslinux.cfg ::/syslinux.cfg
    syslinux --install boot
    dd if=/usr/lib/syslinux/mbr/mbr.bin of=disk.raw conv=notrunc bs=440 count=1 status=none
fi
sfdisk -q disk.raw << EOF
label: $label
start=1MiB, size=64MiB, type=$type, bootable
start=65MiB, type=linux
EOF
dd if=boot of=disk.raw bs=1M seek=1 conv=notrunc,sparse status=none
mke2fs -q -F -t ext4 -E offset=$((65 * 1024 * 1024)) disk.raw "$((SIZE - 66))M"
qemu-img convert -O "$FORMAT" disk.raw /out/disk
