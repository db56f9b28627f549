#!/bin/sh
# PID 1 of a machine that is this one, with nothing of it changed: an overlay over
# its disk, a network of its own with loopback only, its own processes. $1 is an
# empty folder, which keeps what is written; $2 is readable as /mnt/package.
set -eu
dir=$1
mount -t tmpfs -o mode=755 machine "$dir"
mkdir "$dir/upper" "$dir/work" "$dir/root"
mount -t overlay -o "lowerdir=/,upperdir=$dir/upper,workdir=$dir/work" machine "$dir/root"
cd "$dir/root"
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 dev dev
mkdir dev/shm dev/pts
for d in null zero full random urandom tty; do
	touch "dev/$d"
	mount --bind "/dev/$d" "dev/$d"
done
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
for d in run tmp mnt; do mount -t tmpfs -o mode=755 $d $d; done
chmod 1777 tmp dev/shm
mkdir mnt/package mnt/old
mount --bind "$2" mnt/package
# Nothing of this machine's is started.
rm -rf etc/systemd/system/*.wants usr/sbin/policy-rc.d
: >etc/machine-id
pivot_root . mnt/old
cd /
umount -l /mnt/old
export container=test
exec /lib/systemd/systemd --log-target=null --show-status=no --unit=basic.target
