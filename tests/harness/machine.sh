#!/bin/sh
# Makes a throw-away machine out of this one and becomes its PID 1, the installed systemd. Runs in namespaces of its own.
# $1 is a folder: $1/in holds what is laid over /, $1/notify the socket that hears when the machine is up; then pairs
# of a folder and where it is to be seen.
set -eu
folder=$1
shift
mount --make-rprivate /

# Everything of this machine, and nothing of it written to.
layers=$folder/layers
mkdir "$layers"
mount -t tmpfs tmpfs "$layers"
root=$layers/root
mkdir "$layers/upper" "$layers/work" "$root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$layers/upper,workdir=$layers/work" "$root"
mount -t proc proc "$root/proc"
mount -t sysfs sysfs -o ro "$root/sys"
mount -t tmpfs tmpfs "$root/run"
mount -t tmpfs tmpfs -o mode=1777 "$root/tmp"
mount -t tmpfs tmpfs -o mode=755 "$root/dev"
for device in null zero full random urandom tty; do
    touch "$root/dev/$device"
    mount --bind "/dev/$device" "$root/dev/$device"
done
mkdir "$root/dev/shm" "$root/dev/pts" "$root/dev/mqueue" "$root/dev/hugepages"
mount -t devpts devpts -o newinstance,mode=620,ptmxmode=666 "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"

# The control groups this process was put into are the machine's own.
if [ -e /sys/fs/cgroup/cgroup.procs ]; then
    mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
else
    mount -t tmpfs tmpfs "$root/sys/fs/cgroup"
    mkdir "$root/sys/fs/cgroup/systemd" "$root/sys/fs/cgroup/unified"
    mount -t cgroup -o none,name=systemd cgroup "$root/sys/fs/cgroup/systemd"
    mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup/unified"
fi

while [ $# -gt 0 ]; do
    mkdir -p "$root$2"
    mount --bind "$1" "$root$2"
    shift 2
done
cp -a "$folder/in/." "$root/"
chroot "$root" ldconfig /opt/tollkeeper/base/lib
mkdir -p "$root/run/host" "$root/former"
touch "$root/run/host/notify"
mount --bind "$folder/notify" "$root/run/host/notify"

cd "$root"
pivot_root . former
umount -l /former
mount --make-rshared / # credentials come as mounts that systemd makes elsewhere first
exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin container=other NOTIFY_SOCKET=/run/host/notify \
    SYSTEMD_UNIT_PATH=/units SYSTEMD_LOG_TARGET=console SYSTEMD_LOG_LEVEL=info \
    /lib/systemd/systemd --system --unit=default.target --log-target=console --log-level=info
