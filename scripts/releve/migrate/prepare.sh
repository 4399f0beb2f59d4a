#!/bin/sh
# prepare.sh [--check|--undo]: make a Linux guest ready for another machine, while it still runs.
#
# What it does, and nothing else:
#   network-names-fixed  each network card keeps the name that it has now, by its MAC address
#                        (/etc/systemd/network/10-releve-NAME.link)
#   fstab-by-uuid        /etc/fstab and /etc/crypttab name disks by UUID, not by the kernel's name
#   boot-driver-ready    the initramfs holds virtio's drivers (initramfs-tools or dracut)
# All of it is harmless where the guest runs now. Each file is kept byte for byte, in
# /var/lib/releve/prepare, before it is changed; --undo gives it back. --check shows what would
# change, and changes nothing. A second run changes 0.
#
# It prints one line for each thing: good, changed, note (worth knowing), left (for a person).
# Exit: 0 done; 1 failed; 3 --check would change something; 4 something is left for a person.
# With ROOT=/mnt in the environment it works on the system whose root is there.
set -eu
LC_ALL=C
PATH=$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export LC_ALL PATH
umask 022
ROOT=${ROOT:-}
KEPT=/var/lib/releve/prepare
JOURNAL=$ROOT$KEPT/journal
DRIVERS="virtio_pci virtio_blk virtio_scsi sd_mod"
MODE=apply
CHANGED=0
LEFT=0
LEFT_BEFORE=0
CHANGED_BEFORE=0
PENDING=
TAB=$(printf '\t')

fail() {
    printf 'failed: %s\n' "$*"
    exit 1
}

note() { printf 'note %s: %s\n' "$1" "$2"; }

left() {
    printf 'left %s: %s\n' "$1" "$2"
    LEFT=$((LEFT + 1))
}

changed() {
    case $MODE in
    check) printf 'would change %s: %s\n' "$1" "$2" ;;
    *) printf 'changed %s: %s\n' "$1" "$2" ;;
    esac
    CHANGED=$((CHANGED + 1))
}

# good ID TEXT: say so unless something of this part is left for a person, or would still change.
good() {
    if [ "$LEFT" -eq "$LEFT_BEFORE" ]; then
        if [ "$MODE" != check ] || [ "$CHANGED" -eq "$CHANGED_BEFORE" ]; then
            printf 'good %s: %s\n' "$1" "$2"
        fi
    fi
    LEFT_BEFORE=$LEFT
    CHANGED_BEFORE=$CHANGED
}

in_root() {
    if [ -n "$ROOT" ]; then chroot "$ROOT" "$@"; else "$@"; fi </dev/null
}

sum() {
    if [ -f "$1" ]; then sha256sum <"$1" | cut -c1-64; else echo absent; fi
}

# --- the journal: keep N SUM FILE, made N SUM FILE, folder DIR, pending, rebuilt

journal() {
    printf '%s\n' "$*" >>"$JOURNAL"
    sync
}

# make_folder DIR: make what is missing of it, and note it.
make_folder() {
    [ ! -d "$ROOT$1" ] || return 0
    make_folder "$(dirname "$1")"
    mkdir "$ROOT$1"
    journal "folder$TAB$1"
}

begin() {
    [ "$MODE" = apply ] || return 0
    [ -f "$JOURNAL" ] || {
        mkdir -p "$ROOT$KEPT"
        chmod 0700 "$ROOT$KEPT"
        : >"$JOURNAL"
    }
}

# keep FILE: keep it as it is now; its number is in NUMBER.
keep() {
    begin
    NUMBER=$(($(grep -c "^keep$TAB" "$JOURNAL") + 1)) || :
    if [ -f "$ROOT$1" ]; then
        cp -a "$ROOT$1" "$ROOT$KEPT/$NUMBER"
        [ "$(sum "$ROOT$1")" = "$(sum "$ROOT$KEPT/$NUMBER")" ] || fail "$1 could not be kept"
    fi
    journal "keep$TAB$NUMBER$TAB$(sum "$ROOT$1")$TAB$1"
}

made() { journal "made$TAB$NUMBER$TAB$(sum "$ROOT$1")$TAB$1"; }

# put FILE NEW WHAT: give FILE the content of the file NEW; its mode and owner stay.
put() {
    if [ -f "$ROOT$1" ] && cmp -s "$ROOT$1" "$2"; then return 0; fi
    if [ -L "$ROOT$1" ]; then
        left "$PART" "$1 is a link, which is not followed; edit what it leads to"
        return 0
    fi
    if [ "$MODE" = check ]; then
        old=$ROOT$1
        [ -f "$old" ] || old=/dev/null
        diff -u "$old" "$2" | sed -e "1s|.*|--- $1|" -e "2s|.*|+++ $1|" || :
        changed "$1" "$3"
        return 0
    fi
    keep "$1"
    make_folder "$(dirname "$1")"
    rm -f "$ROOT$1.releve"
    [ ! -f "$ROOT$1" ] || cp -a "$ROOT$1" "$ROOT$1.releve"
    cat "$2" >"$ROOT$1.releve"
    mv "$ROOT$1.releve" "$ROOT$1"
    made "$1"
    changed "$1" "$3"
}

# --- network cards

address_of() {
    if [ -s "$1/bonding_slave/perm_hwaddr" ]; then
        cat "$1/bonding_slave/perm_hwaddr"
    elif [ "$(cat "$1/addr_assign_type" 2>/dev/null || echo 0)" = 3 ]; then
        in_root ethtool -P "${1##*/}" 2>/dev/null | sed -n 's/^Permanent address: //p'
    else
        cat "$1/address"
    fi | tr 'A-F' 'a-f'
}

cards() {
    for path in "$ROOT"/sys/class/net/*; do
        # 1: Ethernet. What has no device behind it is a bridge, a bond, a VLAN.
        if [ -e "$path/device" ] && [ ! -e "$path/phy80211" ] && [ "$(cat "$path/type")" = 1 ]; then
            echo "${path##*/} $(address_of "$path")"
        fi
    done
}

# pinned MAC: print the file that names the card with this address, and the name.
pinned() {
    for file in "$ROOT"/etc/systemd/network/*.link "$ROOT"/run/systemd/network/*.link; do
        grep -qis "^[[:space:]]*\(Permanent\)\{0,1\}MACAddress=.*$1" "$file" || continue
        found=$(sed -n 's/^[[:space:]]*Name=[[:space:]]*//p' "$file" | tail -n 1)
        [ -z "$found" ] || {
            echo "${file#"$ROOT"} $found"
            return 0
        }
    done
    for file in "$ROOT"/etc/udev/rules.d/*.rules; do
        found=$(grep -is "^[^#]*$1" "$file" | sed -n 's/.*NAME="\([^"]*\)".*/\1/p' | tail -n 1)
        [ -z "$found" ] || {
            echo "${file#"$ROOT"} $found"
            return 0
        }
    done
}

used_in() {
    for place in network/interfaces network/interfaces.d netplan NetworkManager/system-connections \
        systemd/network sysconfig/network-scripts sysconfig/network; do
        [ ! -e "$ROOT/etc/$place" ] ||
            grep -rlw -e "$1" "$ROOT/etc/$place" 2>/dev/null | grep -v '/10-releve-' || :
    done | sed "s|^$ROOT||" | sort | tr '\n' ' ' | sed 's/ $//'
}

pin() { # NAME MAC
    where=$(pinned "$2")
    if [ "${where#* }" != "$1" ] && [ -n "$where" ]; then
        left "$PART" "${where% *} names $2 ${where#* }, and it is $1 now: restart the guest once"
    elif [ -n "$where" ]; then
        NAMES="$NAMES, $1 by ${where% *}"
    elif ! [ -x "$ROOT/lib/systemd/systemd-udevd" ] && ! [ -e "$ROOT/lib/systemd/network" ] &&
        ! [ -e "$ROOT/usr/lib/systemd/network" ]; then
        left "$PART" "this system's udev reads no .link file; name $1 by $2 in its own way"
    else
        used=$(used_in "$1")
        printf '%s\n' "# $1 is the card with this address, in whatever slot: releve migrate prepare." \
            "[Match]" "MACAddress=$2" "# A card, not a bridge or VLAN on it, which has its address." \
            "Path=*" "" "[Link]" "Name=$1" >"$WORK/link"
        pending # said before, so that a run that is killed here is ended by the next one
        put "/etc/systemd/network/10-releve-$1.link" "$WORK/link" "$1 is $2${used:+ ($used)}"
        NAMES="$NAMES, $1 by its address"
    fi
}

network() {
    PART=network-names-fixed
    NAMES=
    cards >"$WORK/cards"
    cut -d' ' -f2 "$WORK/cards" | sort | uniq -d >"$WORK/twice"
    while read -r name mac; do
        case $mac in
        *:*:*:*:*:*) ;;
        *)
            left "$PART" "$name has no address of its own that could be read"
            continue
            ;;
        esac
        if grep -qx "$mac" "$WORK/twice"; then
            left "$PART" "$mac is the address of several cards; name $name in its own way"
            continue
        fi
        case $name in
        eth[0-9]*)
            # A name of the kernel must not be given by udev: both would give it, in no order.
            NAMES="$NAMES, $name by the kernel's order"
            ;;
        *) pin "$name" "$mac" ;;
        esac
    done <"$WORK/cards"
    [ -n "$NAMES" ] || [ -s "$WORK/cards" ] || NAMES=", no card"
    good "$PART" "${NAMES#, }"
}

# --- fstab, crypttab

# named FILE FIELD: print device and options of each line that names a disk by slot or controller.
named() {
    awk -v at="$2" '
        /^[ \t]*#/ { next }
        $at ~ /^\/dev\/(sd|hd|vd|xvd)[a-z]+[0-9]*$/ ||
        $at ~ /^\/dev\/nvme[0-9]+n[0-9]+(p[0-9]+)?$/ ||
        $at ~ /^\/dev\/disk\/by-path\// ||
        $at ~ /^\/dev\/disk\/by-id\/(ata|scsi|virtio|usb|nvme)-/ { print $at, $4 }
    ' "$1" | sort -u
}

tag() { in_root blkid -c /dev/null -o value -s "$2" "$1" 2>/dev/null || :; }

# uuid DEVICE OPTIONS FILE: print its UUID, or say on descriptor 3 why it stays as it is.
uuid() {
    uuid=$(tag "$1" UUID)
    type=$(tag "$1" TYPE)
    if [ -z "$uuid" ]; then
        case ,$2, in
        *,noauto,* | *,nofail,*) echo "note $1 has no UUID; nothing waits for it" >&3 ;;
        *) echo "left $3: $1 has no UUID that could be read" >&3 ;;
        esac
        return 0
    fi
    others=$(in_root blkid -c /dev/null -t UUID="$uuid" -o device | grep -c .) || :
    case $type in
    *_member) echo "left $3: $1 is a $type, which is never mounted itself" >&3 ;;
    btrfs) echo "$uuid" ;;
    *)
        if [ "$others" -gt 1 ]; then
            echo "left $3: $others devices have the UUID $uuid of $1" >&3
        else
            echo "$uuid"
        fi
        ;;
    esac
}

by_uuid() { # FILE FIELD
    [ -f "$ROOT$1" ] || return 0
    : >"$WORK/map"
    : >"$WORK/said"
    named "$ROOT$1" "$2" >"$WORK/named"
    while read -r device options; do
        id=$(uuid "$device" "$options" "$1" 3>>"$WORK/said")
        [ -z "$id" ] || printf '%s UUID=%s\n' "$device" "$id" >>"$WORK/map"
    done <"$WORK/named"
    while read -r verdict text; do
        case $verdict in
        left) left "$PART" "$text" ;;
        note) note "$PART" "$1: $text" ;;
        esac
    done <"$WORK/said"
    [ -s "$WORK/map" ] || return 0
    awk -v at="$2" -v map="$WORK/map" '
        BEGIN { while ((getline line < map) > 0) { split(line, part, " "); to[part[1]] = part[2] } }
        /^[ \t]*#/ || !($at in to) { print; next }
        {
            rest = $0
            head = ""
            for (field = 1; field < at; field++) {
                match(rest, /^[ \t]*[^ \t]+/)
                head = head substr(rest, 1, RLENGTH)
                rest = substr(rest, RLENGTH + 1)
            }
            match(rest, /^[ \t]*/)
            print head substr(rest, 1, RLENGTH) to[$at] substr(rest, RLENGTH + length($at) + 1)
        }
    ' "$ROOT$1" >"$WORK/new"
    if [ -n "$(tail -c 1 "$ROOT$1")" ]; then # its last line has no end, and gets none
        printf '%s' "$(cat "$WORK/new")" >"$WORK/whole"
        mv "$WORK/whole" "$WORK/new"
    fi
    [ "$1" != /etc/crypttab ] || pending
    put "$1" "$WORK/new" "$(grep -c . "$WORK/map") devices by UUID"
}

disks() {
    PART=fstab-by-uuid
    by_uuid /etc/fstab 1
    by_uuid /etc/crypttab 2
    root=$(tr ' ' '\n' <"$ROOT/proc/cmdline" 2>/dev/null |
        grep -E '^root=/dev/((sd|hd|vd|xvd)[a-z]|nvme|disk/by-path)' || :)
    [ -z "$root" ] ||
        left "$PART" "the kernel is told $root; let the boot loader say root=UUID=$(tag "${root#root=}" UUID)"
    for file in /etc/initramfs-tools/conf.d/resume /boot/grub/device.map; do
        ! grep -qsE '/dev/((sd|hd|vd|xvd)[a-z]|nvme)' "$ROOT$file" ||
            note "$PART" "$file names a disk by the kernel's name; nothing fails, look at it later"
    done
    good "$PART" "$(awk '/^[ \t]*#/ || NF < 3 { next }
        $1 ~ /^(UUID|LABEL|PARTUUID|PARTLABEL)=/ || $1 ~ /^\/dev\// {
            print ($3 == "swap" ? "swap" : $2), $1 }' "$ROOT/etc/fstab" 2>/dev/null |
        tr '\n' ',' | sed -e 's/,$//' -e 's/,/, /g')"
}

# --- initramfs

# pending: an initramfs must be made anew, since a file changed that it holds a copy of.
pending() {
    PENDING=yes
    begin
    [ "$MODE" = check ] || journal pending
}

is_pending() {
    [ -z "$PENDING" ] || return 0
    [ -f "$JOURNAL" ] || return 1
    [ "$(grep -xE 'pending|rebuilt' "$JOURNAL" | tail -n 1)" = pending ]
}

maker() {
    if [ -x "$ROOT/usr/sbin/mkinitramfs" ]; then
        echo initramfs-tools
    elif [ -x "$ROOT/usr/bin/dracut" ] || [ -x "$ROOT/usr/sbin/dracut" ] ||
        [ -x "$ROOT/sbin/dracut" ]; then
        echo dracut
    fi
}

image_of() { # VERSION
    for image in "/boot/initrd.img-$1" "/boot/initramfs-$1.img" "/boot/initrd-$1"; do
        [ ! -f "$ROOT$image" ] || {
            echo "$image"
            return 0
        }
    done
}

content() { # IMAGE
    case $MAKER in
    initramfs-tools) in_root lsinitramfs "$1" 2>/dev/null ;;
    dracut) in_root lsinitrd "$1" 2>/dev/null ;;
    esac
}

# lacking VERSION IMAGE: put into LACKS the drivers that are modules of the kernel and not in there.
lacking() {
    LACKS=
    : >"$WORK/content"
    [ -z "$2" ] || content "$2" >"$WORK/content" || :
    for driver in $DRIVERS; do
        if grep -qs "/$driver\.ko" "$ROOT/lib/modules/$1/modules.builtin"; then continue; fi
        if ! grep -q "/$driver\.ko" "$ROOT/lib/modules/$1/modules.dep"; then
            if [ -n "$2" ]; then left "$PART" "kernel $1 has no $driver"; else LACKS=$driver; fi
        elif ! grep -q "/$driver\.ko" "$WORK/content"; then
            LACKS="$LACKS $driver"
        fi
    done
}

# want: let every initramfs that is made from now on hold all drivers.
want() {
    : >"$WORK/modules"
    first="# For the machine that this guest moves to: releve migrate prepare."
    case $MAKER in
    initramfs-tools)
        file=/etc/initramfs-tools/modules
        [ ! -f "$ROOT$file" ] || cat "$ROOT$file" >"$WORK/modules"
        [ -z "$(tail -c 1 "$WORK/modules")" ] || echo >>"$WORK/modules"
        for driver in $DRIVERS; do
            if grep -q "^[[:space:]]*$driver\([[:space:]]\|\$\)" "$WORK/modules"; then continue; fi
            [ -z "$first" ] || echo "$first" >>"$WORK/modules"
            first=
            echo "$driver" >>"$WORK/modules"
        done
        ;;
    dracut)
        file=/etc/dracut.conf.d/releve.conf
        printf '%s\n' "$first" "add_drivers+=\" $DRIVERS \"" >"$WORK/modules"
        ;;
    esac
    put "$file" "$WORK/modules" "the initramfs gets $DRIVERS"
}

room() { # FOLDER KIB: whether so much is free there
    free=$(df -Pk "$ROOT$1" | awk 'NR == 2 { print $4 }')
    [ "$free" -ge "$2" ] || {
        left "$PART" "$1 has $free KiB free, $2 are needed to make the initramfs anew"
        return 1
    }
}

build() { # VERSION IMAGE
    case $MAKER in
    initramfs-tools) in_root update-initramfs -u -k "$1" ;;
    dracut) in_root dracut --force "$2" "$1" ;;
    esac >"$WORK/log" 2>&1
}

rebuild() { # VERSION IMAGE WHY
    need=$(($(du -k "$ROOT$2" | cut -f1) * 5 / 4 + 4096))
    if [ "$MODE" = check ]; then
        changed "$2" "$3"
        return 0
    fi
    begin
    if ! room /boot "$need" || ! room "$KEPT" "$need"; then return 0; fi
    # Debian notes what it made last beside its images, and makes no other one anew.
    keep "/var/lib/initramfs-tools/$1"
    state=$NUMBER
    keep "$2"
    LACKS=$DRIVERS
    ! build "$1" "$2" || lacking "$1" "$2"
    if [ -z "$LACKS" ]; then
        made "$2"
        NUMBER=$state
        made "/var/lib/initramfs-tools/$1"
        changed "$2" "$3"
        return 0
    fi
    cp -a "$ROOT$KEPT/$NUMBER" "$ROOT$2.releve"
    mv "$ROOT$2.releve" "$ROOT$2"
    made "$2"
    left "$PART" "$2 could not be made anew, and is as it was: $(tail -n 2 "$WORK/log" | tr '\n' ' ')"
}

# look VERSION: note what its initramfs lacks; a kernel without one needs all of it built in.
look() {
    image=$(image_of "$1")
    lacking "$1" "$image"
    if [ -n "$image" ]; then
        echo "$1 $image$LACKS" >>"$WORK/images"
        ALL="$ALL$LACKS"
    elif [ -n "$LACKS" ]; then
        return 0 # of a kernel that is gone, or never booted by itself
    fi
    SEEN="$SEEN, $1"
}

initramfs() {
    PART=boot-driver-ready
    MAKER=$(maker)
    SEEN=
    ALL=
    : >"$WORK/images"
    for folder in "$ROOT"/lib/modules/*; do
        [ ! -f "$folder/modules.dep" ] || look "${folder##*/}"
    done
    if [ -z "$SEEN" ]; then
        left "$PART" "no initramfs was found in /boot; see that it holds $DRIVERS"
    elif [ -z "$MAKER" ] && [ -s "$WORK/images" ]; then
        left "$PART" "neither initramfs-tools nor dracut made it; see that it holds $DRIVERS"
        : >"$WORK/images"
    elif [ -n "$ALL" ]; then
        want
    fi
    while read -r version image lacks; do
        if [ -n "$lacks" ]; then
            rebuild "$version" "$image" "gets $lacks"
        elif is_pending; then
            rebuild "$version" "$image" "is made anew with the files above"
        fi
    done <"$WORK/images"
    if [ "$MODE" = apply ] && is_pending && [ "$LEFT" -eq "$LEFT_BEFORE" ]; then journal rebuilt; fi
    good "$PART" "$DRIVERS for kernel ${SEEN#, }"
}

# --- the way back

# restore NUMBER SUM FILE MADE
restore() {
    now=$(sum "$ROOT$3")
    [ "$now" != "$2" ] || return 0
    if [ -n "$4" ] && [ "$now" != "$4" ]; then
        case $3 in
        /boot/*) echo "$3" >>"$WORK/anew" ;;
        /var/lib/initramfs-tools/*) ;;
        *) left undo "$3 was changed since by somebody else; what it was is in $KEPT/$1" ;;
        esac
        return 0
    fi
    if [ "$2" = absent ]; then
        rm -f "$ROOT$3"
    else
        cp -a "$ROOT$KEPT/$1" "$ROOT$3.releve"
        mv "$ROOT$3.releve" "$ROOT$3"
    fi
    [ "$(sum "$ROOT$3")" = "$2" ] || fail "$3 could not be given back; it is in $KEPT/$1"
    changed "$3" "as it was"
}

undo() {
    if [ ! -f "$JOURNAL" ]; then
        echo "nothing was prepared here"
        return 0
    fi
    : >"$WORK/anew"
    sed -n "s/^keep$TAB//p" "$JOURNAL" | sort -rn >"$WORK/kept"
    while IFS=$TAB read -r number before file; do
        after=$(sed -n "s/^made$TAB$number$TAB\([^$TAB]*\)$TAB.*/\1/p" "$JOURNAL" | tail -n 1)
        rm -f "$ROOT$file.releve"
        restore "$number" "$before" "$file" "$after"
    done <"$WORK/kept"
    MAKER=$(maker)
    for folder in "$ROOT"/lib/modules/*; do
        version=${folder##*/}
        image=$(image_of "$version")
        if [ -n "$image" ] && grep -qx "$image" "$WORK/anew"; then
            build "$version" "$image" || fail "$image could not be made anew: $(tail -n 2 "$WORK/log")"
            changed "$image" "made anew: it was not the one that was made here"
        fi
    done
    [ "$LEFT" -eq 0 ] || return 0
    while IFS=$TAB read -r number before file; do rm -f "$ROOT$KEPT/$number"; done <"$WORK/kept"
    sed -n "s/^folder$TAB//p" "$JOURNAL" | sort -r | while read -r folder; do
        rmdir "$ROOT$folder" 2>/dev/null || :
    done
    rm -f "$JOURNAL"
    rmdir "$ROOT$KEPT"
    rmdir "$ROOT${KEPT%/*}" 2>/dev/null || :
    sync
}

main() {
    case ${1:-} in
    "") ;;
    --check) MODE=check ;;
    --undo) MODE=undo ;;
    *) fail "say nothing, --check or --undo" ;;
    esac
    [ "$(id -u)" = 0 ] || fail "this needs root"
    WORK=$(mktemp -d)
    trap 'rm -rf "$WORK"' EXIT
    trap 'exit 1' HUP INT TERM
    if [ "$MODE" = undo ]; then
        undo
    else
        network
        disks
        initramfs
    fi
    echo "changed $CHANGED, left $LEFT"
    [ "$LEFT" -eq 0 ] || exit 4
    [ "$MODE" != check ] || [ "$CHANGED" -eq 0 ] || exit 3
}

main "$@" </dev/null
