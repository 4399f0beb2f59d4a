#!/bin/sh
# Print the SHA-256 of every block of a raw disk, with dd and sha256sum (or openssl) alone:
#     sh hashes.sh FILE SIZE BLOCK [JOBS]
# It runs on the host of a stopped guest, from standard input (`ssh HOST sh -s -- ... < hashes.sh`):
# nothing is installed, the disk is only read, and what it writes lies in memory and is removed.
# SIZE and BLOCK are bytes, blocks of 1 MiB are a good choice, JOBS is how many run side by side.
# Lines, in any order: `HASH  OFFSET`, `zero OFFSET LENGTH`, `failed OFFSET`; first a header.
set -eu
if [ $# -lt 3 ]; then
    echo "usage: hashes.sh FILE SIZE BLOCK [JOBS]" >&2
    exit 2
fi
file=$1 size=$2 block=$3
jobs=${4:-$(grep -c '^processor' /proc/cpuinfo 2>/dev/null)} || jobs=1
for number in "$size" "$block" "$jobs"; do
    case $number in
    '' | 0* | *[!0-9]*) echo "hashes.sh: '$number' is not a number above 0" >&2 && exit 2 ;;
    esac
done
case $file in /*) ;; *) file=$PWD/$file ;; esac
# openssl uses the processor's own SHA instructions, which is up to four times as fast
hash="openssl dgst -sha256 -r"
$hash /dev/null >/dev/null 2>&1 || hash=sha256sum
for tool in dd mktemp ${hash%% *}; do
    command -v "$tool" >/dev/null || { echo "hashes.sh: this host has no $tool" >&2; exit 3; }
done
[ -r "$file" ] || { echo "hashes.sh: $file: cannot be read" >&2; exit 3; }

for room in /dev/shm /run /tmp; do
    [ -d "$room" ] && [ -w "$room" ] && break
done
work=$(mktemp -d "$room/releve.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT PIPE TERM

# An area is what one hashing program is given at a time: not more than 4 MiB of memory for each job, and
# its lines leave in one piece (4096 bytes), so that those of two jobs never mix.
area=$((4194304 / block))
[ "$area" -ge 1 ] || area=1
[ "$area" -le 32 ] || area=32
# Zeros are looked for in larger steps: cmp ends at the first byte that is not zero.
step=$((67108864 / block / area * area))
[ "$step" -ge "$area" ] || step=$area
blocks=$(((size + block - 1) / block))
whole=$((size / block))
zeros=
if command -v cmp >/dev/null && dd if=/dev/null of="$work/zeros" bs="$block" seek="$step" count=0 2>/dev/null; then
    zeros=$work/zeros # a hole: it takes no memory
fi

all_zeros() { # FIRST: tell whether a whole step is zeros
    [ -n "$zeros" ] && [ $(($1 + step)) -le "$whole" ] || return 1
    dd if="$file" bs="$block" skip="$1" count="$step" 2>/dev/null | cmp -s - "$zeros"
}

hash_area() { # JOB FIRST END: print the hashes of the blocks from FIRST to before END
    number=$2
    while [ "$number" -lt "$3" ]; do
        offset=$((number * block))
        if ! dd if="$file" of="$work/$1/$offset" bs="$block" skip="$number" count=1 2>/dev/null; then
            echo "failed $offset"
            return 1
        fi
        number=$((number + 1))
    done
    # shellcheck disable=SC2035  # the names are numbers
    (cd "$work/$1" && $hash *) >"$work/$1.lines"
    cat "$work/$1.lines"
    rm -f "$work/$1"/*
}

hash_steps() { # JOB: take every JOBS-th step of the disk
    mkdir "$work/$1"
    first=$(($1 * step))
    while [ "$first" -lt "$blocks" ]; do
        end=$((first + step))
        [ "$end" -le "$blocks" ] || end=$blocks
        if all_zeros "$first"; then
            echo "zero $((first * block)) $((step * block))"
        else
            from=$first
            while [ "$from" -lt "$end" ]; do
                to=$((from + area))
                [ "$to" -le "$end" ] || to=$end
                hash_area "$1" "$from" "$to"
                from=$to
            done
        fi
        first=$((first + jobs * step))
    done
}

echo "releve-hashes 1 $size $block"
pids=
job=0
while [ "$job" -lt "$jobs" ]; do
    hash_steps "$job" &
    pids="$pids $!"
    job=$((job + 1))
done
for pid in $pids; do
    wait "$pid"
done
